"""Put what a generator wrote to `build/generated` on this client: run after each time."""

import shutil
from pathlib import Path

name = "tator_rest"  # as in --package-name
package = Path(*name.split("."))
shutil.copytree("build/generated" / package, package, dirs_exist_ok=True)
for module in ("configuration", "exceptions", "rest"):
    (package / f"{module}.py").write_text(f"from tator.{module} import *\n")
(package / "api_client.py").write_text(f"""\
import tator.models
from tator.api_client import ApiClient
from {name} import models

vars(tator.models).update((k, v) for k, v in vars(models).items() if isinstance(v, type))
""")

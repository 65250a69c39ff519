"""Put the classes that a generator wrote to `tator_rest/` on this client: run after each time."""

from pathlib import Path

package = Path("tator_rest")
for name in ("configuration", "exceptions", "rest"):
    (package / f"{name}.py").write_text(f"from tator.{name} import *\n")
(package / "api_client.py").write_text("""\
import tator.models
from tator.api_client import ApiClient
from tator_rest import models

vars(tator.models).update((k, v) for k, v in vars(models).items() if isinstance(v, type))
""")

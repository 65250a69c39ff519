"""How the package is built and installed."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version():
    text = (HERE / "tator" / "_version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.+)"', text)[1]


def requirements():
    lines = (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


setup(
    name="tator",
    version=version(),
    description="Cancel background jobs on a Tator server",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    install_requires=requirements(),
    extras_require={"progress": ["tqdm>=4.66"]},
    # Named, so that an editable install puts this folder on the path: another folder of the name
    # `tator`, such as a clone beside one's script, would come before a finder.
    package_dir={"": "."},
    packages=find_packages(include=["tator", "tator.*"]),
    package_data={"tator": ["py.typed"]},
    entry_points={"pytest11": ["tator = tator.testing.pytest_plugin"]},
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Framework :: Pytest",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Typing :: Typed",
    ],
)

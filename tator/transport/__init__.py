"""One attempt of a request, on urllib3's connections; with `rest.py` the only user of urllib3."""

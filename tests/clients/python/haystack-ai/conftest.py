"""Haystack reports its use to its vendor; here nothing leaves the machine."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when haystack is imported

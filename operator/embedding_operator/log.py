"""Log lines on stderr: JSON for collectors, text for people. Neither ever holds a token, a Secret or user text."""

import logging
import sys
from datetime import UTC, datetime

import orjson

# kopf narrates every event and reports every failed request as an error, with what is retried anyway.
QUIET_LOGGERS = {"kopf": logging.CRITICAL, "httpx": logging.WARNING, "aiohttp": logging.WARNING}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["stack"] = self.formatException(record.exc_info)
        return orjson.dumps(entry).decode()


def configure_logging(*, level: str, json_lines: bool) -> None:
    """Set up the root logger; `level` is debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(JsonFormatter() if json_lines else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name, quiet in QUIET_LOGGERS.items():
            logging.getLogger(name).setLevel(quiet)

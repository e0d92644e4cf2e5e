"""Log errors with type and location only, as their messages could contain personal data."""

import logging


def fault(error: BaseException) -> str:
    """Return the type of an error and the file and line that raised it."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else "?"
    return f"{type(error).__name__} at {where}"


class KindAndPlace(logging.Formatter):
    """Formats log records of libraries without their messages."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without the record's message."""
        error = record.exc_info[1] if record.exc_info else None
        return f"error: {fault(error) if error else f'{record.levelname} at {record.pathname}:{record.lineno}'}"


def keep() -> None:
    """Configure the root logger with this format, level WARNING."""
    handler = logging.StreamHandler()
    handler.setFormatter(KindAndPlace())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])

"""What the service writes to the journal: the kind and place of a fault alone, as its text might hold what somebody sent."""

import logging


def fault(error: BaseException) -> str:
    """Return the kind of a fault and where it happened."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else "?"
    return f"{type(error).__name__} at {where}"


class KindAndPlace(logging.Formatter):
    """Formats what libraries log."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without the record's own text."""
        error = record.exc_info[1] if record.exc_info else None
        return f"error: {fault(error) if error else f'{record.levelname} at {record.pathname}:{record.lineno}'}"


def keep() -> None:
    """Let everything that libraries log go this way."""
    handler = logging.StreamHandler()
    handler.setFormatter(KindAndPlace())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])

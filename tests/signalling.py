"""The address at which a participant without a browser connects to the media server."""


def signalling_url(server: str, token: str, *, subscribe: bool = True, more: str = "") -> str:
    """Return the URL of the media server's signalling; `server` begins with ws:// or wss://, and `more` is added to the query."""
    query = f"access_token={token}&auto_subscribe={int(subscribe)}&protocol=15&sdk=js&version=2.23.0{more}"
    return f"{server}/rtc?{query}"

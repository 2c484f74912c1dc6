"""Credentials as programs have them."""

from urllib.parse import parse_qsl, unquote


class Credentials:
    """Keeps the access token out of everything that is printed."""

    __slots__ = ("api_key", "_access_token")

    def __init__(self, api_key: str, access_token: str) -> None:
        self.api_key = api_key
        self._access_token = access_token

    def __repr__(self) -> str:
        return "<credentials>"

    def __getstate__(self) -> object:
        raise TypeError("credentials are not pickled")

    def token(self) -> str:
        """Returns the token, unescaped, since programs escape what goes into a URL by themselves."""
        return unquote(self._access_token.partition("&")[0])

    def parameters(self) -> list[tuple[str, str]]:
        """Returns the parameters that were appended to the token."""
        return parse_qsl(self._access_token.partition("&")[2])

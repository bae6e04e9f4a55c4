"""Bad input, told in one line."""


class GlacierError(Exception):
    r"""An input that breaks a rule: the message names the place, the rule, what came and the mend.

    The command line prints it as one line on stderr and exits with status 2; any other exception is
    a bug and keeps its traceback.

    Whatever a damaged file brings into the message, it stays one printable line:

    >>> print(GlacierError("B1.TIF: CRS WGS 84\n\x1bUTM is not known; replace the file"))
    B1.TIF: CRS WGS 84 ?UTM is not known; replace the file
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in line))

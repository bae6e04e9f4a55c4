"""Bad input, told in one line."""


class GlacierError(Exception):
    """An input that breaks a rule: the message names the place, the rule, what came and the mend.

    The command line prints it as one line on stderr and exits with status 2; any other exception is
    a bug and keeps its traceback.
    """

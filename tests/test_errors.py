"""The one error of bad input: always one printable line."""

from hypothesis import given
from hypothesis import strategies as st

from glacier_ml.errors import GlacierError


@given(st.text())
def test_whatever_is_quoted_a_message_is_one_printable_line(text):
    message = str(GlacierError(text))
    assert message.isprintable() and len(message.splitlines()) <= 1


def test_a_plain_message_stays_as_it_is():
    assert str(GlacierError("2007_TOA: swir1 is missing; add it")) == "2007_TOA: swir1 is missing; add it"

"""Text, JSON and XML that are no MTL, or one that contradicts itself."""

import json

import pytest
from landsat_bundles import mtl_groups, mtl_text

from glacier_ml.errors import GlacierError
from glacier_ml.scenes.landsat.mtl import LARGEST_MTL, parse_mtl

ROOT = "L1_METADATA_FILE"
BOMB = """<?xml version="1.0"?>
<!DOCTYPE LANDSAT_METADATA_FILE [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<LANDSAT_METADATA_FILE><PRODUCT_CONTENTS><ORIGIN>&b;</ORIGIN></PRODUCT_CONTENTS></LANDSAT_METADATA_FILE>"""


def text(*lines):
    return "\n".join([f"GROUP = {ROOT}", *lines, f"END_GROUP = {ROOT}", "END"]).encode()


def test_what_is_given_twice_alike_is_taken_once():
    group = ["GROUP = A", "B = 1", "B = 1", "END_GROUP = A"]
    assert parse_mtl(text(*group, *group), "MTL") == (ROOT, {"A": {"B": "1"}})


def test_one_key_may_differ_between_groups():
    content = text("GROUP = A", "B = 1", "END_GROUP = A", "GROUP = C", "B = 2", "END_GROUP = C")
    assert parse_mtl(content, "MTL")[1] == {"A": {"B": "1"}, "C": {"B": "2"}}


def test_keys_of_the_root_itself_stand_under_its_name():
    assert parse_mtl(text("B = 1"), "MTL")[1] == {ROOT: {"B": "1"}}
    assert parse_mtl(json.dumps({ROOT: {"B": "1"}}).encode(), "MTL")[1] == {ROOT: {"B": "1"}}
    assert parse_mtl(f"<{ROOT}><B>1</B></{ROOT}>".encode(), "MTL")[1] == {ROOT: {"B": "1"}}


def test_values_in_xml_may_hold_escapes_and_comments():
    content = f"<{ROOT}><!-- made --><A><B>a &lt; b &amp; c &#65;</B></A></{ROOT}>"
    assert parse_mtl(content.encode(), "MTL")[1] == {"A": {"B": "a < b & c A"}}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "no MTL file .root group 'none'"),
        (b"\0\0\0", "no MTL file"),
        (b"hello", r"line 1 is no 'KEY = value' \('hello'\)"),
        (b"GROUP = OTHER\nEND_GROUP = OTHER\nEND", "root group 'OTHER'"),
        (b"A = 1\nEND", "key 'A' stands outside every group"),
        (b"GROUP = L1_METADATA_FILE\nGROUP = A\nB = 1\n", "the file ends inside a group"),
        (text("GROUP = A", "END_GROUP = B"), "line 3 ends group 'B', which is not the open one"),
        (text("GROUP = A", "B = 1", "B = 2"), "'B' stands twice in group 'A', as '1' and as '2'"),
        (text("GROUP = A", "B = 1", "END_GROUP = A", "GROUP = A", "B = 2", "END_GROUP = A"),
         "group 'A' stands twice with different values"),
        (text("GROUP = A", "GROUP = B", "GROUP = C"), "group 'B' stands inside group 'A'"),
        (text("A\x01B = 1"), r"line 2 is no 'KEY = value'"),
        (text() + b"x", "line 3 is no"),
        (f"GROUP = {ROOT}\nEND_GROUP = {ROOT}\nGROUP = {ROOT}\n".encode(), "a second root group"),
        (text("END_GROUP = " + "x" * 999), r"ends group 'x{57}\.\.\.'"),
        (b"{", "not JSON"),
        (b"{}", "no MTL file"),
        (b'{"A": 1}', "key 'A' stands outside every group"),
        (b'{"L1_METADATA_FILE": {"A": {"B": ["1"]}}}', "'B' has no text or number"),
        (b'{"L1_METADATA_FILE": {"A": {"B": null}}}', "'B' has no text or number"),
        (b'{"L1_METADATA_FILE": {"A": {"B": {"C": "1"}}}}', "'B' has no text or number"),
        (b'{"L1_METADATA_FILE": {"A": {"B": "1", "B": "2"}}}', "'B' stands twice"),
        (b'{"L1_METADATA_FILE": {"A": {"B": "1"}, "A": {"B": "2"}}}', "group 'A' stands twice"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"L1_METADATA_FILE": {"A": {"B": "\xff\x00"}}}', "not JSON"),
        (b"<", "not XML"),
        (b"<a>" * 1000, "element 'a' stands inside key 'a'"),
        (b"<L1_METADATA_FILE>x</L1_METADATA_FILE>", "stands outside every group"),
        (b"<L1_METADATA_FILE><A>x<B>1</B></A></L1_METADATA_FILE>", "text stands beside element 'B'"),
        (b"<L1_METADATA_FILE><A><B>1</B>x</A></L1_METADATA_FILE>", "text stands beside element 'A'"),
        (b"<L1_METADATA_FILE><A><B>&x;</B></A></L1_METADATA_FILE>", "not XML .undefined entity"),
        (b"<espa_metadata><A><B>1</B></A></espa_metadata>", "root group 'espa_metadata'"),
        (BOMB.encode(), "the XML has a DOCTYPE"),
        (BOMB.encode("utf-16"), "no 'KEY = value'"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "stands outside every group"),
    ],
)  # fmt: skip
def test_content_that_is_no_mtl_is_refused_in_one_line(content, line):
    with pytest.raises(GlacierError, match=f"^2007: MTL: .*{line}") as caught:
        parse_mtl(content, "2007: MTL")
    assert len(str(caught.value).splitlines()) == 1


def test_large_content_is_refused_before_it_is_read():
    content = mtl_text(*mtl_groups())
    assert parse_mtl(content.ljust(LARGEST_MTL), "MTL") == parse_mtl(content, "MTL")
    with pytest.raises(GlacierError, match="MTL: 4,194,305 bytes are no MTL file"):
        parse_mtl(content.ljust(LARGEST_MTL + 1), "MTL")

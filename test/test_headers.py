"""Header values are checked when they are set, and masked when they are shown."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tator.exceptions import ApiException, ApiTypeError, ApiValueError
from tator.headers import Headers, HeaderValues, Keys, Prefixes

pytestmark = pytest.mark.fast

SECRET = "sesame-0123456789abcdef"


def test_values_set_in_any_way_are_checked_and_masked() -> None:
    """The mapping stays safe however it is changed."""
    keys = Keys({"A": SECRET})
    keys["B"] = SECRET
    keys.update({"C": SECRET}, D=SECRET)
    keys.update([("E", SECRET)])
    keys.update()
    keys |= {"F": SECRET}
    assert keys.setdefault("G", SECRET) == SECRET
    assert keys.setdefault("G", "other") == SECRET
    assert list(keys) == list("ABCDEFG")
    assert set(keys.values()) == {SECRET}
    assert SECRET not in repr(keys)


@pytest.mark.parametrize(
    "change",
    [
        lambda keys, value: keys.__setitem__("Authorization", value),
        lambda keys, value: keys.update({"Authorization": value}),
        lambda keys, value: keys.update(Authorization=value),
        lambda keys, value: keys.setdefault("Authorization", value),
        lambda keys, value: keys.__ior__({"Authorization": value}),
        lambda keys, value: Keys({"Authorization": value}),
        lambda keys, value: Keys.checked("api_key", {"Authorization": value}),
    ],
)
@pytest.mark.parametrize(
    ("value", "kind"),
    [(f"{SECRET}\n", ApiValueError), (b"bytes", ApiTypeError), (None, ApiTypeError)],
)
def test_an_invalid_value_is_rejected_however_it_is_set(
    change: Any, value: object, kind: type[ApiException]
) -> None:
    """The text names it and does not show it."""
    keys = Keys()
    with pytest.raises(kind, match=r"^api_key\['Authorization'\] ") as caught:
        change(keys, value)
    assert SECRET not in str(caught.value)
    assert keys == {}


@pytest.mark.parametrize("name", ["", "a b", "a\r\nb", 5])
def test_an_invalid_name_is_rejected(name: Any) -> None:
    """Nothing can be smuggled in before the value."""
    with pytest.raises(ApiException, match=r"^header"):
        Headers({name: "a"})


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_a_header_that_frames_the_body_is_rejected(name: str) -> None:
    """Two of them could make one request look like two."""
    with pytest.raises(ApiValueError, match=rf"^header\['{name}'\] must not be set"):
        Headers({name: "3"})


def test_a_collection_that_is_not_a_mapping_is_rejected() -> None:
    """A token alone has no header's name."""
    with pytest.raises(
        ApiTypeError, match=r"^api_key must be a mapping of names to values"
    ) as caught:
        Keys.checked("api_key", SECRET)  # type: ignore[arg-type]  # it is rejected
    assert SECRET not in str(caught.value)
    assert Keys.checked("api_key", None) == {}


def test_a_copy_is_made_of_the_values() -> None:
    """What the caller changes later counts for nothing."""
    given = {"Authorization": SECRET}
    keys = Keys.checked("api_key", given)
    given["Authorization"] = "other"
    assert keys == {"Authorization": SECRET}
    assert type(keys) is Keys


def test_a_prefix_is_not_sensitive() -> None:
    """It is shown, since it is what is most often wrong."""
    assert repr(Prefixes({"Authorization": "Token"})) == "{'Authorization': 'Token'}"
    with pytest.raises(ApiValueError, match=r"^api_key_prefix\['Authorization'\] "):
        Prefixes({"Authorization": "\n"})


def test_only_harmless_headers_are_shown() -> None:
    """Any other may hold a token."""
    shown = {"accept": "a/b", "Content-Type": "c/d", "Accept-Encoding": "e", "User-Agent": "f"}
    headers = Headers({**shown, "X-Api-Key": SECRET})
    assert repr(headers) == repr({**shown, "X-Api-Key": "***"})


def test_the_clients_own_headers_have_one_spelling() -> None:
    """The client reads them by name, and the case of header names has no meaning."""
    headers = Headers({"user-AGENT": "a", "COOKIE": SECRET, "x-Other": "b"})
    assert list(headers) == ["User-Agent", "Cookie", "x-Other"]


@pytest.mark.parametrize("kind", [Keys, Prefixes, Headers])
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_a_copy_is_checked_and_masked_too(kind: type[HeaderValues], duplicate: Any) -> None:
    """Copies and pickles are of the same class, and share nothing."""
    original = kind({"X-Api-Key": SECRET})
    new = duplicate(original)
    assert (type(new), new, repr(new)) == (kind, original, repr(original))
    with pytest.raises(ApiValueError):
        new["X"] = "a\nb"
    new["X"] = "a"
    assert "X" not in original

"""The arguments of a call are checked, and its response is read, without a socket."""

from __future__ import annotations

import pickle
from datetime import date, datetime, timezone
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID

import pytest

import tator
from tator import InlineResponse2044, operation
from tator.headers import Headers
from tator.operation import Call, HttpInfo
from tator.rest import RequestHeaders

pytestmark = pytest.mark.fast

HOST = "https://tator.example"
TOKEN = "sesame-0123456789abcdef"
UID = UUID("9f1a2c3e-aaaa-11ee-8000-001122334455")


class Response:
    """The least that a response needs."""

    def __init__(self, data: str | bytes, status: int = 200) -> None:
        self.data = data
        self.status = status

    def getheaders(self) -> dict[str, str]:
        return {"X-Back": f"Token {TOKEN}"}


def call(types: Any = None, **values: Any) -> Call:
    """A call of an endpoint."""
    settings = vars(tator.Configuration(HOST))
    options: dict[str, Any] = {
        "method": "GET",
        "url": f"{HOST}/rest/X",
        "query": [],
        "headers": RequestHeaders(Headers({"Authorization": f"Token {TOKEN}"}), settings),
        "body": None,
        "types": {None: object} if types is None else types,
        "preload": True,
        "timeout": None,
        "with_info": False,
        "needs_token": True,
        "auth": {"Authorization": f"Token {TOKEN}"},
        "has_request_auth": False,
    }
    return Call(**{**options, **values})


def result(of: Call, response: Any) -> Any:
    """What a caller gets for a response."""
    client = tator.ApiClient(tator.Configuration(HOST))
    return of.result(response, client.deserialize)


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("a b", "a%20b"),
        ("é?#&=+;{x}", "%C3%A9%3F%23%26%3D%2B%3B%7Bx%7D"),
        (7, "7"),
        (1.5, "1.5"),
        (UID, str(UID)),
        ([1, 2], "1%2C2"),
        (("a", date(2020, 5, 1)), "a%2C2020-05-01"),
        ("x" * 256, "x" * 256),
    ],
)
def test_a_value_is_one_segment_of_the_path(value: object, segment: str) -> None:
    """It is percent-encoded UTF-8; a list is separated by commas, as generated clients had it."""
    path = operation.path_of("/rest/X/{id}/y", {"id": value}, {})
    assert path == f"/rest/X/{segment}/y"
    assert operation.path_of("/rest/X/{id}/y", [("id", value)], {"id": "csv"}) == path


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_float_that_is_not_finite_is_rejected_in_a_path_and_a_query(number: float) -> None:
    """JSON does not have it, and a path such as `/rest/Job/nan` is a mistake."""
    told = "^x must be a finite number$"
    for value in (number, [1.5, number]):
        with pytest.raises(tator.ApiValueError, match=told):
            operation.path_of("/{x}", {"x": value}, {})
        with pytest.raises(tator.ApiValueError, match=told):
            operation.query_of("GET", {"x": value}, {})


def test_a_list_in_the_path_has_the_delimiter_of_its_format() -> None:
    """`pipes` and the others apply to paths too."""
    assert operation.path_of("/{a}", {"a": [1, 2]}, {"a": "pipes"}) == "/1%7C2"


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, b"a", "", " ", ".", "..", "a/b", "a\\b", "a%2fb", "a\n", "\0", "\x85"),
        *("a" * 257, "\ud800", "a\t", {"a": 1}, object(), [], [".."], ["a/b"], [{"a": 1}]),
        *([object()], ["a,b"], ["a", None], ["a", ""]),
    ],
)
def test_a_value_that_could_lead_to_another_endpoint_is_rejected(value: Any) -> None:
    """The error is an `ApiException`, whatever the type."""
    with pytest.raises(tator.ApiException) as caught:
        operation.path_of("/rest/Job/{uid}", {"uid": value}, {})
    assert isinstance(caught.value, (TypeError, ValueError))
    assert caught.value.maybe_applied is False
    assert "uid" in str(caught.value)


@pytest.mark.parametrize(
    "template", [None, 5, "", "rest", "/rest/{id}", "/rest?a=1", "/a b", "/rest#x", "/é", "/a\\b"]
)
def test_a_template_that_is_not_a_path_is_rejected(template: Any) -> None:
    """It begins with a slash, is percent-encoded, and has no query."""
    with pytest.raises(tator.ApiException, match="resource_path"):
        operation.path_of(template, {}, {})


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("/rest/Jobs/{project}", "path_params has no value for {project} in resource_path '/rest/"),
        ("/{id}/{a}/{b}?x", "path_params has no value for {a}, {b} in resource_path '/{id}/{a}/"),
        ("rest/Job/{id}", "resource_path must begin with /, as in '/rest/Job/{run_uid}'"),
        ("/rest/Jobs/{id}?gid=x", "resource_path must not contain ? or #: a query belongs in quer"),
        ("/rest/a b", "resource_path must be percent-encoded ASCII; values belong in path_params"),
        ("/rest/{id", "resource_path must be percent-encoded ASCII; values belong in path_params"),
    ],
)
def test_a_template_that_is_rejected_says_what_is_wrong(template: str, told: str) -> None:
    """One cause at a time, and no value, which may be sensitive."""
    with pytest.raises(tator.ApiValueError) as caught:
        operation.path_of(template, {"id": "sesame"}, {})
    assert str(caught.value).startswith(told)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("params", ["x", 5, [1], [("a",)], {1: "a"}, iter([("a", 1)])])
def test_path_params_of_another_form_are_rejected(params: Any) -> None:
    """A mapping or pairs are taken, and nothing else."""
    with pytest.raises(tator.ApiTypeError, match="path_params"):
        operation.path_of("/rest", params, {})


def test_the_query_of_a_delete_has_nothing_empty() -> None:
    """The same is left out, or sent, for any other method."""
    for value in (None, "", [], [None], ["a", ""]):
        with pytest.raises(tator.ApiValueError, match="must not be empty in a DELETE"):
            operation.query_of("DELETE", {"gid": value}, {})
    assert operation.query_of("GET", {"a": None, "b": "", "c": [], "d": [None]}, {}) == [("b", "")]
    assert operation.query_of("DELETE", {"gid": "g"}, {}) == [("gid", "g")]


@pytest.mark.parametrize(
    "params", ["a=b", 5, {"a": object()}, {"a": {"b": 1}}, {"a": b"b"}, {"a": [[1]]}, [("a", 1, 2)]]
)
def test_a_query_of_another_form_is_rejected(params: Any) -> None:
    """The error names the argument, or the name within it."""
    with pytest.raises(tator.ApiTypeError, match=r"query_params|^a must"):
        operation.query_of("GET", params, {})


@pytest.mark.parametrize("formats", ["csv", 5, {"a": 5}, {"a": None}, [("a", "csv")]])
def test_collection_formats_of_another_form_are_rejected(formats: Any) -> None:
    """A mapping of names to formats is taken, and nothing else."""
    with pytest.raises(tator.ApiTypeError, match="collection_formats"):
        operation.formats_of(formats)


def test_collection_formats_are_optional() -> None:
    """Generated clients pass an empty mapping."""
    assert operation.formats_of(None) == operation.formats_of({}) == {}
    assert operation.formats_of({"a": "multi"}) == {"a": "multi"}


def test_later_headers_win_whatever_their_case() -> None:
    """The name is that of the last; `None` changes nothing; a list has its format."""
    defaults = Headers({"X-A": "1", "User-Agent": "x"})
    layers = [
        {"Authorization": "Token a"},
        {"x-a": "2", "ACCEPT": "text/json", "X-None": None, "X-List": [1, True], "X-Tabs": (1, 2)},
        None,
    ]
    assert operation.headers_of(defaults, layers, {"X-Tabs": "tsv"}, has_body=False) == {
        "x-a": "2",
        "User-Agent": "x",
        "Authorization": "Token a",
        "ACCEPT": "text/json",
        "X-List": "1,true",
        "X-Tabs": "1\t2",
    }


def test_a_content_type_goes_with_a_body_alone() -> None:
    """JSON is the default."""
    assert operation.headers_of({}, [{}], {}, has_body=True) == {
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    own = [{"content-type": "text/json"}]
    assert operation.headers_of({}, own, {}, has_body=True)["content-type"] == "text/json"
    assert operation.headers_of({}, own, {}, has_body=False) == {"Accept": "application/json"}


@pytest.mark.parametrize("given", ["x", 5, [("A", "b")], {"A": [object()]}])
def test_headers_of_another_form_are_rejected(given: Any) -> None:
    """A mapping is taken, and nothing else."""
    with pytest.raises(tator.ApiTypeError):
        operation.headers_of({}, [given], {}, has_body=False)


def authentication(auth_settings: Any, request_auth: Any = None) -> dict[str, str]:
    headers: dict[str, str] = {}
    configuration = tator.Configuration(HOST, {"Authorization": TOKEN}, {"Authorization": "Token"})
    operation.add_authentication(headers, configuration, auth_settings, request_auth)
    return headers


def test_the_token_is_sent_for_its_scheme() -> None:
    """A scheme that is not Tator's, named beside it, adds nothing."""
    assert authentication(["TokenAuth"]) == authentication(("Other", "TokenAuth"))
    assert authentication(["TokenAuth"]) == {"Authorization": f"Token {TOKEN}"}
    assert authentication([]) == authentication(None) == {}


def test_request_auth_takes_the_place_of_the_token() -> None:
    """Its value is masked in every display."""
    place = {"in": "header", "key": "X-Key", "value": TOKEN, "type": "api_key"}
    headers = authentication(["TokenAuth"], place)
    assert headers == {"X-Key": TOKEN}
    assert TOKEN not in repr(headers)


@pytest.mark.parametrize("wrong", ["TokenAuth", b"TokenAuth", 5, {"TokenAuth": 1}, [["x"]], [None]])
def test_auth_settings_of_another_form_are_rejected(wrong: Any) -> None:
    """A list of names is taken, and nothing else: a token is never left out by mistake."""
    with pytest.raises(tator.ApiTypeError, match="auth_settings must be a list"):
        authentication(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        "Token x",
        {"in": "query", "key": "token", "value": TOKEN},
        {"in": "header", "value": TOKEN},
        {"in": "header", "key": "X-Key"},
        {"in": "header", "key": "X Key", "value": TOKEN},
        {"in": "header", "key": "X-Key", "value": f"{TOKEN}\n"},
    ],
)
def test_a_request_auth_of_another_form_is_rejected(wrong: Any) -> None:
    """A header with a name and a value is taken, and nothing else."""
    with pytest.raises(tator.ApiException, match="_request_auth") as caught:
        authentication(["TokenAuth"], wrong)
    assert isinstance(caught.value, (TypeError, ValueError))
    assert TOKEN not in str(caught.value)


def test_the_host_of_a_call_is_checked_as_the_configured_one() -> None:
    """Without any, the error says how to set it."""
    assert operation.host_of(HOST, None) == HOST
    assert operation.host_of("/", "https://other.example/rest/") == "https://other.example"
    for wrong in ("tator.example", "https://user:pass@x", 5):
        with pytest.raises(tator.ApiException, match="_host"):
            operation.host_of(HOST, wrong)  # type: ignore[arg-type]  # it is rejected
    for unset in (("/", None), (HOST, "/")):
        with pytest.raises(tator.ApiValueError, match="Set TATOR_HOST"):
            operation.host_of(*unset)


@pytest.mark.parametrize(
    "types",
    [
        {None: "Nonsense"},
        {None: []},
        {None: "list[Nonsense]"},
        {200: "Nonsense"},
        {"200": "str"},
        {True: "str"},
        {5: "str"},
        "str",
        5,
    ],
)
def test_types_of_another_form_are_rejected(types: Any) -> None:
    """What a response can't be read as is known before the request."""
    with pytest.raises(tator.ApiException, match="response_type"):
        operation.types_of(types)


@pytest.mark.parametrize(
    ("types", "status", "data"),
    [
        ({None: "int"}, 201, 5),
        ({200: "int"}, 200, 5),
        ({204: "int", 404: "str"}, 200, 5),  # Tator's schema names a 204 where servers send 200
        ({200: "int", 201: "str"}, 201, "5"),
        ({200: "int", 201: "str"}, 202, None),
        ({404: "str"}, 200, None),
        ({}, 200, None),
        ({200: None}, 200, None),
        ({None: None}, 200, None),
    ],
)
def test_a_response_is_read_by_its_status(types: Any, status: int, data: object) -> None:
    """The type of its status, or of the only success that is named."""
    assert result(call(operation.types_of(types)), Response("5", status)) == data


@pytest.mark.parametrize("data", ["", b"", "5", b'{"a": 1}', "null"])
def test_a_response_without_a_type_gives_no_data(data: str | bytes) -> None:
    """It may say anything, in JSON, or nothing."""
    assert result(call({None: None}), Response(data)) is None
    with pytest.raises(tator.ApiResponseError, match="not a valid Tator response"):
        result(call({None: None}), Response(b"<html>"))


def test_a_204_gives_an_empty_model() -> None:
    """For all other types, no content is `None`."""
    assert result(call({None: InlineResponse2044}), Response("", 204)) == InlineResponse2044()
    assert result(call({204: "InlineResponse2044"}), Response("", 204)) == InlineResponse2044()
    assert result(call({None: "list[str]"}), Response("", 204)) is None
    assert result(call({200: "str"}), Response("", 204)) is None


def test_null_is_none_but_for_our_models() -> None:
    """A user must never read "cancelled" where the server says nothing."""
    assert result(call({None: "list[int]"}), Response("null")) is None
    with pytest.raises(tator.ApiResponseError, match=r"not a valid Tator response \(null\)"):
        result(call({None: InlineResponse2044}), Response("null"))


def test_a_response_that_does_not_fit_is_an_error_without_the_token() -> None:
    """It has what the server sent, the request, and what is wrong."""
    with pytest.raises(tator.ApiResponseError) as caught:
        result(call({None: int}), Response(f'"{TOKEN}"'))
    error = caught.value
    assert (error.status, error.method, error.url) == (200, "GET", f"{HOST}/rest/X")
    assert (error.body, error.attempts, error.maybe_applied) == ('"***"', 1, False)
    assert error.headers is not None
    assert error.headers["x-back"] == "Token ***"
    assert "the response does not match response_type (int expected, str found)" in str(error)


@pytest.mark.parametrize(
    ("method", "doubt"),
    [*((method, False) for method in ("GET", "HEAD", "OPTIONS")), ("POST", True), ("DELETE", True)],
)
def test_a_response_of_another_type_proves_nothing_unless_its_method_is_safe(
    method: str, doubt: bool
) -> None:
    """Also if a test put its own response there, which knows nothing of it."""
    with pytest.raises(tator.ApiResponseError) as caught:
        result(call({None: int}, method=method), Response('"x"'))
    assert caught.value.maybe_applied is doubt
    assert ("may have applied" in str(caught.value)) is doubt


def test_the_message_about_a_response_that_does_not_fit_shows_no_token() -> None:
    """A model of a generator names the value that it rejects."""

    class Picky:
        swagger_types: ClassVar = {"uid": "str"}
        attribute_map: ClassVar = {"uid": "uid"}

        def __init__(self, uid: str | None = None) -> None:
            raise ValueError(f"{uid} is not allowed")

    with pytest.raises(tator.ApiResponseError, match=r"\*\*\* is not allowed") as caught:
        result(call({None: Picky}), Response(f'{{"uid": "{TOKEN}"}}'))
    assert TOKEN not in str(caught.value)


def test_a_result_has_status_and_headers_if_asked() -> None:
    """A named tuple, which pickles."""
    info = result(call(with_info=True), Response("5", 201))
    assert info == HttpInfo(5, 201, {"X-Back": f"Token {TOKEN}"})
    assert (info.data, info.status, info.headers) == info
    assert pickle.loads(pickle.dumps(info)) == info


def test_a_raw_response_is_the_result_as_it_is() -> None:
    """Its headers are those of urllib3's response."""
    raw = SimpleNamespace(status=200, headers={"A": "b"})
    assert result(call(preload=False), raw) is raw
    assert result(call(preload=False, with_info=True), raw) == (raw, 200, {"A": "b"})


def test_json_is_found_in_any_case() -> None:
    """Elsewhere there is none."""
    assert operation.json_among(["text/html", "Application/JSON"]) == "application/json"
    assert operation.json_among(["text/html"]) is operation.json_among([]) is None


def test_models_of_generators_get_settings_without_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They know `client_side_validation` and nothing of the user."""
    monkeypatch.setenv("TATOR_HOST", HOST)
    monkeypatch.setenv("TATOR_TOKEN", TOKEN)
    settings = operation.model_settings(False)
    assert settings is operation.model_settings(False)
    assert (settings.client_side_validation, settings.auth_settings()) == (False, {})
    assert TOKEN.encode() not in pickle.dumps(settings)
    assert operation.model_settings(True).client_side_validation


def test_a_call_tells_hints_of_its_token_whatever_the_case_of_the_header() -> None:
    """And whether the configuration has one, which may not have been sent."""
    settings = vars(tator.Configuration(HOST))
    with_token = vars(tator.Configuration(HOST, {"Authorization": TOKEN}))

    def sent(made: Call) -> str | None:
        return made.credentials().sent

    assert sent(call()) == f"Token {TOKEN}"
    assert sent(call(headers=RequestHeaders({"authorization": "x"}, settings))) == "x"
    assert sent(call(headers=RequestHeaders({}, settings))) is None
    told = call().credentials()
    assert (told.are_needed, told.are_set) == (call().needs_token, False)
    assert call(headers=RequestHeaders({}, with_token)).credentials().are_set


def test_a_call_tells_hints_where_its_host_is_set() -> None:
    """A host that begins with the configured one is another."""
    for configured, setting in (
        (HOST, "Configuration.host (or TATOR_HOST)"),
        (f"{HOST[:-1]}", "_host"),
        ("/", "_host"),
    ):
        headers = RequestHeaders({}, vars(tator.Configuration(configured)))
        credentials = call(headers=headers).credentials()
        assert credentials.host_setting == setting


def test_dates_in_a_query_are_in_iso_8601() -> None:
    """As in a body."""
    noon = datetime(2020, 5, 1, 12, tzinfo=timezone.utc)
    pairs = operation.query_of("GET", [("at", noon), ("ids", [1, UID])], {"ids": "multi"})
    assert pairs == [("at", "2020-05-01T12:00:00+00:00"), ("ids", "1"), ("ids", str(UID))]

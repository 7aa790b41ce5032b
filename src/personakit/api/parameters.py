"""The parameters that several routes take: what each is called, what it says and what it may be."""

from __future__ import annotations

from typing import Annotated, Final

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from personakit.api.answers import MAX_PAGE, PAGE
from personakit.api.dependencies import IDEMPOTENCY_KEY, LONGEST_KEY

PersonIdInPath = Annotated[str, PathParameter(name="personId", description="The person's id")]
PersonaIdInPath = Annotated[
    str, PathParameter(name="personaId", description="A person's id, or `~` and the UUID of another persona")
]
MapperIdInPath = Annotated[
    str, PathParameter(name="mapperId", description="The mapper's `metadata.id`, for example `work_rhythm`")
]
TraitsIdInPath = Annotated[
    str,
    PathParameter(name="documentId", description="The document's `metadata.id`, for example `work_session`"),
]
VersionInPath = Annotated[int, PathParameter(name="version", description="The number of a version, from 1")]
TraitPathInPath = Annotated[
    str, PathParameter(name="path", description="The trait's path, for example `work.focus_duration`")
]
KEY_SAYS: Final = "Stands for the body's `id` where it has none: with the same key it is stored once"
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(name=IDEMPOTENCY_KEY, max_length=LONGEST_KEY, description=KEY_SAYS),
]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="The `ETag` last seen; 412 when the document is another by now"
    ),
]
AsOfGiven = Annotated[
    str | None,
    QueryParameter(
        name="asOf",
        description="Answer as it was: at a position of the log, or at a time, RFC 3339 with an offset "
        "(encode a + as %2B); without it, as it is now",
    ),
]
PageAfter = Annotated[
    str | None, QueryParameter(description="The `next` of the page before; without it, the first page")
]
PageAfterId = Annotated[str, QueryParameter(description="The `next` of the page before")]
"""Of a list that is in the order of its ids."""
# Its range is described and not checked here: `page_size` refuses with a sentence and 422.
PageLimit = Annotated[
    int | None,
    QueryParameter(
        description="How many items a page has",
        schema_extra={"minimum": 1, "maximum": MAX_PAGE, "default": PAGE},
    ),
]
ReasonGiven = Annotated[
    str,
    QueryParameter(
        max_length=500, description="Why, in your words; it is kept with the version that this makes"
    ),
]
"""Of a change of a document."""
_WHY: Final = "Why, for those who read it later"
ReasonNeeded = Annotated[str, QueryParameter(min_length=1, max_length=1024, description=_WHY)]
ReasonIfAny = Annotated[str, QueryParameter(max_length=1024, description=_WHY)]
"""Of what is done about somebody: their observations, traits and personas."""

"""v1's macro space: 15 layers × (filters, filter size, kernel type, connection coefficient) (Appendix A).

Two rule tables: `paper` is Appendix A with its gaps filled, `published` the authors' own thresholds, which give the
parameter counts of Table 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import compress
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from nases_env.search_spaces.base import HIGH, LOW, Architecture, Dimension, SearchSpace, check_list, key
from nases_env.words import shown

LAYERS = 15
OPERATIONS = ("separable", "convolution", "max_pool", "average_pool")
CONVOLUTION, MAX_POOL = OPERATIONS.index("convolution"), OPERATIONS.index("max_pool")
FIELDS = ("filters", "filter_size", "kernel_type", "connection_coefficient")
FILTER_STEP = 10
_FILTERS = range(10, 301, FILTER_STEP)
PAIRS = tuple((early, late) for early in range(LAYERS) for late in range(early + 1, LAYERS))
"""0-based layer pairs in the order of a row's link columns."""

_EARLY, _LATE = np.array(PAIRS).T
MARGIN = 1e-4
"""How far `origin_of` keeps the differences of coefficients from the link distance. At the distance itself, rounding an
origin vector to float32 (by up to 1e-6 near 30) could make or break a link."""


@dataclass(frozen=True)
class Rules:
    """Thresholds from numbers to choices; a value belongs to the first choice whose threshold it does not exceed."""

    kernel_type: tuple[float, ...]
    """Upper thresholds of separable, convolution and max pool."""
    filter_size: tuple[float, ...]
    """Upper thresholds of all sizes but the largest."""
    sizes: tuple[int, ...]
    link_distance: float
    """Layers are linked when their coefficients differ by at most this."""
    rounded: bool
    """Whether coefficients are rounded up, to at least 1, before they are compared."""
    pools_have_filters: bool
    """Whether a pool uses its filters and its filter size."""


RULES = {
    # Appendix A prints ≤7, ≤15 and ≤10; 22 and 20 continue the pattern.
    "paper": Rules((7, 15, 22), (10, 20), (3, 5, 7), 3, rounded=False, pools_have_filters=True),
    "published": Rules((4, 19, 24), (14,), (3, 5), 4, rounded=True, pools_have_filters=False),
}

# The architecture published with v1: 15 × (kernel type, filter size, filters, coefficient).
_PUBLISHED = (
    (20, 20, 15, 13), (17, 18, 13, 13), (14, 13, 15, 7), (17, 9, 12, 13), (13, 20, 22, 19),
    (17, 21, 18, 14), (20, 21, 20, 21), (15, 15, 16, 10), (18, 20, 17, 18), (16, 10, 15, 15),
    (14, 16, 19, 19), (20, 11, 27, 19), (13, 9, 20, 12), (19, 18, 20, 16), (10, 17, 20, 16),
)  # fmt: skip


class MacroLayer(NamedTuple):
    """What one layer does. A pool under `published` rules has size 0 and 0 filters: it uses neither."""

    operation: str
    size: int
    filters: int

    def __str__(self) -> str:
        if not self.filters:
            return self.operation
        return f"{self.operation} {self.size}x{self.size} {self.filters}"


@dataclass(frozen=True)
class MacroArchitecture(Architecture):
    """15 layers and the links between them. Make one with `MacroSpace.architecture`, which keeps it canonical."""

    space: ClassVar[str] = "macro"

    rules: str
    layers: tuple[MacroLayer, ...]
    links: tuple[tuple[int, int], ...]
    """1-based (early, late), sorted: what follows layer `late` also reads layer `early`."""

    @classmethod
    def published(cls) -> MacroArchitecture:
        """The best architecture published with v1: 8.3 M parameters under `published` rules."""
        numbers = np.array(_PUBLISHED, dtype=np.float64)[:, [2, 1, 0, 3]]
        space = MacroSpace("published")
        return space.architecture(space.discretise(numbers.reshape(1, -1))[0])

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """For each layer, 0-based: the earlier layers, 0-based, that are concatenated behind it."""
        return tuple(tuple(j - 1 for j, k in self.links if k == layer) for layer in range(1, LAYERS + 1))

    def to_json(self) -> str:
        """Canonical JSON with the keys space, rules, layers (operation, size, filters) and links (1-based)."""
        return _json(self.rules, map(_fragment, self.layers), map(_fragment, self.links))

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        space = MacroSpace(fields["rules"])
        return space.architecture(_row(space.rules, fields["layers"], fields["links"]))  # type: ignore[return-value]

    def __str__(self) -> str:
        return _text(map(str, self.layers), self.links)


class MacroSpace(SearchSpace):
    """Origin vectors of 15 × 4 numbers.

    A row of `discretise` has 150 integers: 15 operations (index into OPERATIONS), 15 filter sizes, 15 numbers of
    filters in tens, 105 links (0 or 1, in the order of PAIRS).

    Args:
        rules: `paper` or `published`.
    """

    name = MacroArchitecture.space

    def __init__(self, rules: str = "paper"):
        if not isinstance(rules, str) or rules not in RULES:
            raise ValueError(f"there are no macro rules {shown(rules)}; choose one of {sorted(RULES)}")
        self.rules_name = rules
        self.rules = RULES[rules]
        edges: dict[str, Sequence[float] | np.ndarray] = {
            "filters": np.linspace(LOW, HIGH, 31),
            "filter_size": (LOW, *self.rules.filter_size, HIGH),
            "kernel_type": (LOW, *self.rules.kernel_type, HIGH),
            "connection_coefficient": np.linspace(LOW, HIGH, 11),
        }
        labels = {"kernel_type": OPERATIONS, "filter_size": tuple(f"{size}x{size}" for size in self.rules.sizes)}
        self.dimensions = tuple(
            Dimension(field, layer, tuple(float(edge) for edge in edges[field]), labels.get(field, ()))
            for layer in range(1, LAYERS + 1)
            for field in FIELDS
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return MacroSpace, (self.rules_name,)

    def discretise(self, origins: np.ndarray) -> np.ndarray:
        """Rows (K, 150), see the class."""
        numbers = self.check_origins(origins).reshape(-1, LAYERS, len(FIELDS))
        filters, sizes, types, coefficients = np.moveaxis(numbers, 2, 0)
        if self.rules.rounded:
            coefficients = _ceil(coefficients)
        operations = np.searchsorted(self.rules.kernel_type, types, side="left")
        sizes = np.asarray(self.rules.sizes)[np.searchsorted(self.rules.filter_size, sizes, side="left")]
        links = np.abs(coefficients[:, _EARLY] - coefficients[:, _LATE]) <= self.rules.link_distance
        return self._canonical(np.concatenate([operations, sizes, _ceil(filters), links], axis=1).astype(np.int64))

    def _canonical(self, rows: np.ndarray) -> np.ndarray:
        """Rows without what their layers do not use."""
        rows = rows.copy()
        operations, sizes, filters, _ = _split(rows)  # views
        # Layer 1 is always a convolution: a pool on raw pixels cripples a network.
        operations[:, 0] = CONVOLUTION
        if not self.rules.pools_have_filters:
            pools = operations >= MAX_POOL
            sizes[pools] = filters[pools] = 0
        return rows

    def decisions(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """operation, filter_size, filters (K, 15 each) and links (K, 105)."""
        return dict(zip(("operation", "filter_size", "filters", "links"), _split(rows), strict=True))

    def architecture(self, row: np.ndarray) -> MacroArchitecture:
        """The architecture of one row of `discretise`, (150,)."""
        operations, sizes, filters, links = (part[0].tolist() for part in _split(self._canonical(row[None])))
        layers = (
            MacroLayer(OPERATIONS[operation], size, FILTER_STEP * tens)
            for operation, size, tens in zip(operations, sizes, filters, strict=True)
        )
        return MacroArchitecture(self.rules_name, tuple(layers), tuple(compress(_LINKS, links)))

    def row(self, architecture: Architecture) -> np.ndarray:
        """The row (150,) of an architecture."""
        if not isinstance(architecture, MacroArchitecture) or architecture.rules != self.rules_name:
            raise ValueError(f"expected an architecture of {self.rules_name!r} rules, got {shown(architecture)}")
        return _row(self.rules, architecture.layers, architecture.links)

    def describe(self, rows: np.ndarray) -> tuple[list[str], list[str]]:
        """What `str` and `key` of the architectures of rows (K, 150) are; no architecture is built."""
        texts, keys = [], []
        for *layers, links in zip(*(part.tolist() for part in _split(rows)), strict=True):
            names, fragments = zip(*map(_described, *layers), strict=True)
            texts.append(_text(names, compress(_LINKS, links)))
            keys.append(key(_json(self.rules_name, fragments, compress(_LINK_FRAGMENTS, links))))
        return texts, keys

    def from_json(self, text: str) -> MacroArchitecture:
        """The architecture of `MacroArchitecture.to_json`; its rules must be this space's."""
        architecture = MacroArchitecture.from_json(text)
        if architecture.rules != self.rules_name:
            raise ValueError(
                f"the architecture follows {architecture.rules!r} rules, this space {self.rules_name!r} rules"
            )
        return architecture

    def origin_of(self, architecture: Architecture) -> np.ndarray:
        """Bin centres for operations, sizes and filters; the smallest coefficients that give the links."""
        operations, sizes, filters, links = _split(self.row(architecture)[None])
        choices = np.zeros((LAYERS, len(FIELDS)), dtype=np.int64)
        choices[:, 0] = np.maximum(filters[0], 1) - 1
        choices[:, 1] = np.maximum(np.searchsorted(self.rules.sizes, sizes[0]), 0)
        choices[:, 2] = operations[0]
        origin = self.origin(choices.reshape(1, -1))[0]
        origin[3::4] = _coefficients(self.rules, links[0].astype(bool))
        return origin


def _ceil(values: np.ndarray) -> np.ndarray:
    return np.maximum(np.ceil(values), 1)


def _split(rows: np.ndarray) -> list[np.ndarray]:
    """Operations, sizes, tens of filters (K, 15 each) and links (K, 105) of rows."""
    return [rows[:, i * LAYERS : (i + 1) * LAYERS] for i in range(3)] + [rows[:, 3 * LAYERS :]]


@cache
def _fragment(part: tuple[str | int, ...]) -> str:
    """JSON of a layer or of a link."""
    return json.dumps(part, separators=(",", ":"))


_LINKS = [(early + 1, late + 1) for early, late in PAIRS]
_PAIR_INDEX: dict[tuple[int, ...], int] = {link: index for index, link in enumerate(_LINKS)}
_LINK_FRAGMENTS = [_fragment(link) for link in _LINKS]


@cache
def _described(operation: int, size: int, tens: int) -> tuple[str, str]:
    """A layer as text and as JSON."""
    layer = MacroLayer(OPERATIONS[operation], size, FILTER_STEP * tens)
    return str(layer), _fragment(layer)


def _json(rules: str, layers: Iterable[str], links: Iterable[str]) -> str:
    """JSON of an architecture, from that of its layers and links."""
    return (
        f'{{"space":"{MacroSpace.name}","rules":"{rules}","layers":[{",".join(layers)}],"links":[{",".join(links)}]}}'
    )


def _text(layers: Iterable[str], links: Iterable[tuple[int, int]]) -> str:
    """A line to read: each layer, and what is linked to it."""
    parts = list(layers)
    for early, late in links:
        parts[late - 1] += f" +{early}"
    return ", ".join(parts)


def _row(rules: Rules, layers, links) -> np.ndarray:
    """The row (150,) of layers and links as they stand in JSON; ValueError where they do not fit the rules."""
    check_list(layers, "layers", LAYERS)
    check_list(links, "links")
    numbers = [_layer_numbers(rules, index == 0, layer) for index, layer in enumerate(layers)]
    linked = [0] * len(PAIRS)
    for link in links:
        index = _pair_index(link)
        if linked[index]:
            raise ValueError(f"the link {link} stands in it twice")
        linked[index] = 1
    return np.concatenate([np.array(numbers, dtype=np.int64).T.reshape(-1), np.array(linked, dtype=np.int64)])


def _layer_numbers(rules: Rules, first: bool, layer) -> tuple[int, int, int]:
    """The operation's index, the size and the filters in tens."""
    check_list(layer, "parts of a layer (operation, size, filters)", 3)
    operation, size, filters = layer
    if operation not in OPERATIONS:
        raise ValueError(f"there is no operation {shown(operation)}; there are {', '.join(OPERATIONS)}")
    kind = OPERATIONS.index(operation)
    if type(size) is type(filters) is int:
        if not first and kind >= MAX_POOL and not rules.pools_have_filters:
            return kind, 0, 0
        if size in rules.sizes and filters in _FILTERS:
            return kind, size, filters // FILTER_STEP
    raise ValueError(
        f"{operation} has size {shown(size)} of {rules.sizes} and {shown(filters)} filters of 10, 20 … 300"
    )


def _pair_index(link) -> int:
    """Where the link's column is among those of links."""
    if isinstance(link, list | tuple) and all(type(layer) is int for layer in link):
        index = _PAIR_INDEX.get(tuple(link))
        if index is not None:
            return index
    raise ValueError(f"the link {shown(link)} is no pair of layers, an early one and a late one, from 1 to {LAYERS}")


def _coefficients(rules: Rules, links: np.ndarray) -> np.ndarray:
    """The smallest coefficients (15,) in [0, 30] that give links (105,).

    Layers on a line, linked when close, are a unit interval graph: an order of the line is found by seriation
    (Atkins, Boman and Hendrickson 1998), positions by relaxing the difference constraints of that order.
    """
    adjacent = np.eye(LAYERS, dtype=bool)
    adjacent[_EARLY, _LATE] = adjacent[_LATE, _EARLY] = links
    order = _seriation(adjacent)
    # Rounded coefficients are whole numbers: those that are too far apart to be linked are so by at least 1.
    below, above = (0, 1) if rules.rounded else (MARGIN, MARGIN)
    near, far = rules.link_distance - below, rules.link_distance + above
    position = np.full(LAYERS, 1.0 if rules.rounded else 0.0)
    adjacent = adjacent[np.ix_(order, order)]
    upper = np.triu(np.ones_like(adjacent), 1).astype(bool)
    # weight[i, j]: position[j] − position[i] is at least this.
    weight = np.where(upper & ~adjacent, far, np.where(upper, 0.0, np.where(adjacent, -near, -np.inf)))
    for _ in range(LAYERS + 1):
        relaxed = np.maximum(position, (position[:, None] + weight).max(axis=0))
        if np.array_equal(relaxed, position):
            break
        position = relaxed
    else:
        raise ValueError(f"no connection coefficients give the links {links.astype(int).tolist()}")
    if position.max() > HIGH:
        raise ValueError(f"the links need coefficients up to {position.max():g}; the space ends at {HIGH:g}")
    coefficients = np.empty(LAYERS)
    coefficients[order] = position
    return coefficients


def _seriation(adjacent: np.ndarray) -> np.ndarray:
    """An order of the layers in which every layer's neighbours are consecutive, if there is one."""
    twins, layer_of = np.unique(adjacent, axis=0, return_inverse=True)
    layer_of = layer_of.reshape(-1)
    representative = np.array([np.flatnonzero(layer_of == twin)[0] for twin in range(len(twins))])
    graph = adjacent[np.ix_(representative, representative)]
    rank: dict[int, tuple[int, float]] = {}
    for component, members in enumerate(_components(graph)):
        # Common neighbours, not mere adjacency, so that the ends of a line differ from its middle.
        similarity = graph[np.ix_(members, members)].astype(float)
        similarity = similarity @ similarity
        laplacian = np.diag(similarity.sum(axis=1)) - similarity
        _, vectors = np.linalg.eigh(laplacian)
        fiedler = vectors[:, min(1, len(members) - 1)]
        rank.update({int(member): (component, float(value)) for member, value in zip(members, fiedler, strict=True)})
    return np.array(sorted(range(LAYERS), key=lambda layer: rank[int(layer_of[layer])]))


def _components(graph: np.ndarray) -> list[np.ndarray]:
    """Members of each connected component."""
    reach = np.linalg.matrix_power(graph.astype(float), len(graph)) > 0
    return [np.flatnonzero(row) for row in np.unique(reach, axis=0)]

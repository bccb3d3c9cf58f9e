"""What is found in a patch, however it is held, and copies that share everything but that."""

import functools
import time
from collections import OrderedDict, deque, namedtuple
from types import SimpleNamespace

import pytest
import torch
from tilework.sampling.conditions import patch_contents
from tilework.sampling.conditions.patch_contents import Copies, name_of, search

Pair = namedtuple("Pair", "first second")


def mask(*size):
    return torch.zeros(size or (4, 6))


class Slotted:
    __slots__ = ("__own", "region")

    def __init__(self, own):
        self.__own = own

    def __call__(self):
        return self.__own


class Plain:
    def __init__(self, own):
        self.own, self.count = own, 0

    def __call__(self):
        return self.own

    def method(self):
        self.count += 1
        return self.own


def closure(own):
    def patch():
        return own

    return patch


def default(own):
    def patch(region=own, *, other=None):
        return region

    return patch


def keyword(own):
    def patch(*, region=own):
        return region

    return patch


def returned(held, own=None):
    return held if own is None else own


def recursive(own):
    """A function that holds itself."""

    def patch(again=True):
        return patch(False) if again else own

    return patch


HOLDERS = {
    "closure": closure,
    "default": default,
    "keyword": keyword,
    "partial": lambda own: functools.partial(returned, own),
    "partial keyword": lambda own: functools.partial(returned, None, own=own),
    "attribute": Plain,
    "method": lambda own: Plain(own).method,
    "slot": Slotted,
    "closure in a partial in an attribute": lambda own: Plain(functools.partial(lambda f: f(), closure(own))),
    "recursive": recursive,
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_found_and_replaced_in_a_copy(holder):
    own, other = mask(), mask(2, 3)
    patch = holder(own)
    roots = {"patches": {"attn2_patch": [patch]}}
    contents = search(roots)
    assert [one.tensor is own for one in contents.tensors] == [True] and contents.complete
    made = Copies(contents.holders([own]), lambda _: other).of(roots)["patches"]["attn2_patch"][0]

    def held(value):
        while callable(value):
            value = value()
        return value

    assert made is not patch and held(made) is other and held(patch) is own
    assert name_of(made) == name_of(patch)


@pytest.mark.parametrize(
    "around", [list, tuple, deque, lambda x: OrderedDict(a=x[0]), lambda x: {"a": {"b": [x]}}, lambda x: Pair(*x, None)]
)
def test_containers_keep_their_kind(around):
    own, other = mask(), mask(2, 3)
    given = around([own])
    contents = search([Plain(given)])
    made = Copies(contents.holders([own]), lambda _: other).of([Plain(given)])
    assert made is not given
    copy = Copies(contents.holders([own]), lambda _: other).of(given)
    assert type(copy) is type(given) and [one.tensor for one in search([copy]).tensors] == [other]
    assert [one.tensor for one in search([given]).tensors] == [own]


def test_what_two_patches_share_their_copies_share():
    own, other = mask(), mask(2, 3)
    log = []

    def first():
        nonlocal state
        state = own.shape
        log.append("first")

    def second():
        return state, own

    state = None
    thing = Plain(own)
    roots = {"a": [first, second], "b": [thing.method, thing]}
    contents = search(roots)
    made = Copies(contents.holders([own]), lambda _: other).of(roots)
    made["a"][0]()
    assert made["a"][1]() == (other.shape, other) and state == other.shape, "a variable that holds no mask is one for all"
    assert log == ["first"]
    made["b"][0]()
    assert made["b"][0].__self__ is made["b"][1] and (made["b"][1].count, thing.count) == (1, 0)


def test_circles_end():
    own, other = mask(), mask(2, 3)
    thing = Plain(own)
    ring = [thing, (thing,)]
    ring.append(ring)
    thing.ring, thing.me = ring, functools.partial(returned, thing)
    contents = search({"patches": ring})
    made = Copies(contents.holders([own]), lambda _: other).of(ring)
    assert made[0].own is other and made[0].ring is made and made[2] is made and made[1][0] is made[0]
    assert made[0].me() is made[0] and thing.me() is thing


def test_models_modules_and_parameters_are_left_alone():
    class Patcher:
        pass

    Patcher.__module__ = "comfy.model_patcher"
    patcher = Patcher()
    patcher.held = mask()
    layer = torch.nn.Linear(4, 4)
    layer.mask = mask()
    held = SimpleNamespace(layer=layer, patcher=patcher, weight=layer.weight, size=torch.Size([4, 4]), kind=Plain, module=torch)
    contents = search([held])
    assert contents.tensors == [] and contents.complete


def test_the_search_is_bounded_and_says_so():
    deep = [mask()]
    for _ in range(patch_contents.DEEPEST + 2):
        deep = [deep]
    contents = search({"patches": [Plain(deep)]})
    assert not contents.complete and contents.tensors == []
    many = Plain([Plain(i) for i in range(3 * patch_contents.MOST_LOOKED_AT)])
    near = Plain(mask())
    start = time.process_time()
    contents = search({"patches": [many, near]})
    print(f"{len(contents.looked_at)} things in {time.process_time() - start:.2f} s")
    assert not contents.complete and len(contents.tensors) == 1, "what is near is found, however much lies behind other things"
    assert len(contents.looked_at) <= patch_contents.MOST_LOOKED_AT


def test_an_object_that_cannot_be_copied_is_named():
    class Odd(int):
        pass

    odd = Odd(3)
    odd.mask = mask()
    contents = search([odd])
    with pytest.raises(patch_contents.CannotCopyError, match="an object of Odd cannot be copied") as caught:
        Copies(contents.holders([odd.mask]), lambda tensor: tensor).of(odd)
    assert caught.value.thing is odd
    generator = (one for one in [mask()])
    assert search([generator]).tensors == []


def test_a_variable_that_is_not_assigned_yet():
    def patch():
        return later

    assert search([patch]).tensors == []
    later = mask()
    assert search([patch]).tensors[0].name == "later"

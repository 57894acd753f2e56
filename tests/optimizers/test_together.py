"""The update of many tensors at once: beside the readable lines, and what it leaves to them."""

import itertools

import pytest
import torch

import momentumlab
from momentumlab.optimizers import together
from tests.optimizers.test_momentum import FORMS, OPTIONS, assert_same_bits, falling, parameters, train

SIZES = [1, 2, 7, 64, 1000, 2 * together._IN_CACHE + 5]  # the last is cut in pieces, the others share them


def many(dtype):
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(size, generator=generator, dtype=dtype)) for size in SIZES]


@pytest.fixture
def by_lines(monkeypatch):
    """A context in which every tensor is updated line by line."""

    def switch():
        monkeypatch.setattr(together, "_are_alike", lambda *_: False)

    return switch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_together_is_what_the_readable_lines_give(form, options, dtype, by_lines):
    one, other = many(dtype), many(dtype)
    fast = train(momentumlab.Momentum(one, lr=0.1, form=form, **options), one, 6, lr=falling)
    by_lines()
    slow = train(momentumlab.Momentum(other, lr=0.1, form=form, **options), other, 6, lr=falling)
    if form == "classical":
        assert_same_bits(fast, slow)
    else:  # an ulp of b a step where the kernel rounds a product and a sum together
        torch.testing.assert_close(fast, slow, rtol=1e-5 if dtype == torch.float32 else 1e-14, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_without_torchs_private_kernel_the_readable_lines_do_it(form, monkeypatch, by_lines):
    one, other = many(torch.float32), many(torch.float32)
    monkeypatch.setattr(together, "FUSED_SGD", None)
    without = train(momentumlab.Momentum(one, lr=0.1, momentum=0.9, form=form), one, 4)
    by_lines()
    assert_same_bits(without, train(momentumlab.Momentum(other, lr=0.1, momentum=0.9, form=form), other, 4))


def left_over(tensors, form="torch"):
    """How many tensors the readable lines are left with in a second step."""
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form=form)
    train(optimizer, tensors, 1)
    seen = []
    optimizer._update = lambda parameter, *_: seen.append(parameter)
    train(optimizer, tensors, 1)
    return len(seen)


@pytest.mark.parametrize("form", FORMS)
def test_dense_contiguous_tensors_go_together_and_all_others_line_by_line(form):
    assert left_over(many(torch.float32), form) == 0
    assert left_over(parameters(), form) == 3  # transposed, strided, channels last
    assert left_over([*many(torch.float32)[:2], *many(torch.float64)[:2]], form) == 0
    assert left_over(many(torch.bfloat16)[:2], form) == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("updates", [1, 3])  # after the second it is known how the tensors look
@pytest.mark.parametrize("which", ["gradient", "memory", "parameter"])
def test_a_tensor_of_another_size_is_refused_by_torch_and_nothing_is_read_past_its_end(which, updates, form):
    tensor = torch.nn.Parameter(torch.ones(4))
    optimizer = momentumlab.Momentum([tensor], lr=0.1, momentum=0.9, form=form)
    train(optimizer, [tensor], updates)
    tensor.grad = torch.ones(4)
    memory = optimizer.state[tensor]
    if which == "memory":
        memory.update({name: torch.ones(3) for name in memory})
    elif which == "gradient":
        tensor.grad.data = torch.ones(3)
    else:
        tensor.data = torch.ones(3)
    with pytest.raises(RuntimeError, match="size"):
        optimizer.step()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("updates", [1, 3])
def test_a_buffer_or_velocity_of_another_layout_or_dtype_is_used_as_it_is(updates, form):
    for change in (torch.Tensor.double, lambda tensor: tensor.t().contiguous().t()):
        paths = []
        for changed in (False, True):
            tensor = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
            optimizer = momentumlab.Momentum([tensor], lr=0.125, momentum=0.5, form=form)
            train(optimizer, [tensor], updates)
            if changed:
                memory = optimizer.state[tensor]
                memory.update({name: change(value) for name, value in memory.items()})
            paths += train(optimizer, [tensor], 3)
        torch.testing.assert_close(*paths)


@pytest.mark.parametrize("form", FORMS)
def test_tensors_are_inspected_once_and_again_when_one_of_them_looks_otherwise(form, monkeypatch):
    tensors = many(torch.float32)[:3]
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form=form)
    train(optimizer, tensors, 2)
    inspected = []
    inspect = together._are_alike
    monkeypatch.setattr(together, "_are_alike", lambda *given: inspected.append(given) or inspect(*given))
    train(optimizer, tensors, 2)
    assert bool(inspected) is (together.GUARDS is None)
    for change in (lambda gradient: gradient.to_sparse(), torch.Tensor.double, lambda _: None):
        inspected.clear()
        for tensor in tensors:
            tensor.grad = torch.ones_like(tensor)
        tensors[0].grad_dtype = None  # any
        tensors[0].grad = change(tensors[0].grad)
        optimizer.step()
        assert inspected


@pytest.mark.parametrize("form", FORMS)
def test_without_torchs_private_guards_every_step_inspects_them(form, monkeypatch):
    one, other = many(torch.float32), many(torch.float32)
    known = train(momentumlab.Momentum(one, lr=0.1, momentum=0.9, form=form), one, 4)
    monkeypatch.setattr(together, "GUARDS", None)
    assert_same_bits(known, train(momentumlab.Momentum(other, lr=0.1, momentum=0.9, form=form), other, 4))


def test_pieces_hold_everything_once_and_fit_into_the_cache():
    batch = tuple([torch.full((size,), float(index)) for index, size in enumerate(SIZES)] for _ in range(3))
    pieces = list(together._pieces(batch))
    assert [sum(tensor.numel() for tensor in names) <= together._IN_CACHE for names, *_ in pieces] == [True] * len(
        pieces
    )
    for place in range(3):
        taken = torch.cat(list(itertools.chain.from_iterable(piece[place] for piece in pieces)))
        assert torch.equal(taken.sort().values, torch.cat(batch[place]).sort().values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_on_a_gpu_the_torch_form_is_torchs_fused_sgd_to_the_bit(dtype):
    paths = []
    for made in (momentumlab.Momentum, lambda tensors, **options: torch.optim.SGD(tensors, fused=True, **options)):
        tensors = [torch.nn.Parameter(tensor.detach().cuda()) for tensor in many(dtype)]
        optimizer = made(tensors, lr=0.1, momentum=0.9)
        for step in range(6):
            for tensor in tensors:
                tensor.grad = tensor.detach() / 2 + step
            optimizer.step()
        paths.append([tensor.detach() for tensor in tensors])
    assert_same_bits(*paths)

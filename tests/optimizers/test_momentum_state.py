"""`momentumlab.Momentum` saved and taken up again: by itself, by torch.optim.SGD, and by torch's tools for models."""

import copy
import io
import pickle

import pytest
import torch

import momentumlab
from tests.optimizers.test_momentum import FORMS, OPTIONS, assert_same_bits, falling, parameters, torchs, train

MOMENTUM = [options for options in OPTIONS if "momentum" in options]


def through_state_dict(optimizer, tensors):
    again = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    fresh = momentumlab.Momentum(again, lr=7.0, momentum=0.1)
    fresh.load_state_dict(optimizer.state_dict())
    return fresh, again


def through_a_file(optimizer, tensors):
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "tensors": [tensor.detach() for tensor in tensors]}, file)
    file.seek(0)
    saved = torch.load(file)  # weights only, as is torch's default: nothing in it but tensors and plain values
    again = [tensor.requires_grad_() for tensor in saved["tensors"]]
    fresh = momentumlab.Momentum(again, lr=7.0)
    fresh.load_state_dict(saved["optimizer"])
    return fresh, again


def through_pickle(optimizer, tensors):
    return pickle.loads(pickle.dumps((optimizer, tensors)))


def through_deepcopy(optimizer, tensors):
    return copy.deepcopy((optimizer, tensors))


WAYS = [through_state_dict, through_a_file, through_pickle, through_deepcopy]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_is_the_run_that_was_never_interrupted(way, options, form):
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, form=form, **options)
    train(optimizer, tensors, 11, lr=falling)  # lr has just fallen: v and lr·b are no longer one
    fresh, again = way(optimizer, tensors)
    resumed = train(fresh, again, 19, start=11, lr=falling)
    # The run that was saved goes on too, and the two share no tensor.
    assert_same_bits(resumed, train(optimizer, tensors, 19, start=11, lr=falling))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_so_it_is_in_every_dtype(way, dtype):
    tensors = parameters(dtype)
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form="classical")
    train(optimizer, tensors, 5, lr=falling)
    fresh, again = way(optimizer, tensors)
    assert_same_bits(train(fresh, again, 10, start=5), train(optimizer, tensors, 10, start=5))


@pytest.mark.parametrize("way", [through_pickle, through_deepcopy])
def test_a_copy_can_be_saved_and_copied_as_the_first(way):
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form="classical")
    train(optimizer, tensors, 3)
    fresh, _ = way(*way(optimizer, tensors))
    assert repr(fresh) == repr(optimizer)
    mine, saved = fresh.state_dict(), optimizer.state_dict()
    assert mine["param_groups"] == saved["param_groups"]
    torch.testing.assert_close(mine["state"], saved["state"], rtol=0, atol=0)
    assert list(mine["state"][0]) == ["velocity", "momentum_buffer", "lr"]


# Torch's checkpoints


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_checkpoint_of_torchs_goes_on_here_to_the_same_iterates_and_back(options):
    undisturbed, theirs = parameters(), parameters()
    reference = train(torchs(undisturbed, **options), undisturbed, lr=falling)
    sent = torchs(theirs, **options)
    train(sent, theirs, 8, lr=falling)
    ours = momentumlab.Momentum([{"params": group["params"]} for group in sent.param_groups], lr=0.5)
    ours.load_state_dict(sent.state_dict())
    train(ours, theirs, 12, start=8, lr=falling)
    back = torchs(theirs, lr=0.7)
    back.load_state_dict(ours.state_dict())
    assert_same_bits(train(back, theirs, 10, start=20, lr=falling), reference)


@pytest.mark.parametrize("options", MOMENTUM, ids=str)
def test_under_a_constant_lr_torch_and_the_classical_form_take_turns_on_one_run(options):
    undisturbed, theirs = parameters(), parameters()
    reference = train(torch.optim.SGD(undisturbed, lr=0.1, **options), undisturbed, 40)
    saved = torch.optim.SGD(theirs, lr=0.1, **options).state_dict()
    for turn in range(6):  # torch, classical, torch, …: the classical velocity in torch's hands is overtaken by b
        if turn % 2:
            optimizer = momentumlab.Momentum(theirs, lr=0.5, form="classical")
        else:
            optimizer = torch.optim.SGD(theirs, lr=0.7)
        optimizer.load_state_dict(saved)
        train(optimizer, theirs, 5, start=5 * turn)
        saved = copy.deepcopy(optimizer.state_dict())
    assert saved["param_groups"][0]["form"] == "classical"
    # Torch overtakes the velocity once more, and our torch form goes on from there.
    optimizer = torch.optim.SGD(theirs, lr=0.7)
    optimizer.load_state_dict(saved)
    train(optimizer, theirs, 5, start=30)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["form"] = "torch"
    optimizer = momentumlab.Momentum(theirs, lr=0.7)
    optimizer.load_state_dict(saved)
    train(optimizer, theirs, 5, start=35)
    torch.testing.assert_close([tensor.detach() for tensor in theirs], reference, rtol=1e-13, atol=1e-13)


def test_a_classical_velocity_is_written_as_v_over_lr_and_a_buffer_read_as_lr_times_b():
    tensor = torch.nn.Parameter(torch.zeros(2))
    classical = momentumlab.Momentum([tensor], lr=0.25, momentum=0.5, form="classical")
    tensor.grad = torch.ones(2)
    classical.step()
    memory = classical.state_dict()["state"][0]
    assert torch.equal(memory["velocity"], torch.full((2,), 0.25))
    assert torch.equal(memory["momentum_buffer"], torch.ones(2))
    sgd = torch.optim.SGD([tensor], lr=0.25, momentum=0.5)
    sgd.load_state_dict({"state": {0: {"momentum_buffer": torch.ones(2)}}, **groups_of(sgd)})
    classical.load_state_dict(sgd.state_dict())
    tensor.grad = torch.zeros(2)
    classical.step()
    assert torch.equal(classical.state[tensor]["velocity"], torch.full((2,), 0.125))
    assert list(classical.state[tensor]) == ["velocity"]


def groups_of(optimizer):
    return {"param_groups": optimizer.state_dict()["param_groups"]}


@pytest.mark.parametrize("lr", [0.0, 0.01])
def test_an_lr_changed_in_the_checkpoint_leaves_a_classical_velocity_alone(lr):
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form="classical")
    train(optimizer, tensors, 5)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = lr
    fresh = momentumlab.Momentum(tensors, lr=0.1)
    fresh.load_state_dict(saved)
    for tensor in tensors:
        assert torch.equal(fresh.state[tensor]["velocity"], optimizer.state[tensor]["velocity"])


def test_a_velocity_saved_while_lr_is_zero_is_kept_here_though_torch_can_have_no_buffer_of_it():
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form="classical")
    train(optimizer, tensors, 5)
    optimizer.param_groups[0]["lr"] = 0.0
    saved = copy.deepcopy(optimizer.state_dict())
    assert list(saved["state"][0]) == ["velocity"]
    fresh, again = through_state_dict(optimizer, tensors)
    assert_same_bits(train(fresh, again, 5, start=5), train(optimizer, tensors, 5, start=5))


@pytest.mark.parametrize("form", FORMS)
def test_options_that_only_torch_knows_are_kept_for_the_way_back(form):
    tensors = [tensor for tensor in parameters() if tensor.numel()]
    sgd = torch.optim.SGD(tensors, lr=0.1, momentum=0.9, fused=True)
    train(sgd, tensors, 3)
    ours = momentumlab.Momentum(tensors, lr=0.5, form=form)
    ours.load_state_dict(sgd.state_dict())
    assert ours.param_groups[0]["form"] == form
    train(ours, tensors, 3)
    back = torch.optim.SGD(tensors, lr=0.5)
    back.load_state_dict(ours.state_dict())
    sent, returned = groups_of(sgd)["param_groups"][0], groups_of(back)["param_groups"][0]
    assert returned == sent | {"form": form}
    assert returned["fused"] is True
    train(back, tensors, 3)


def test_what_a_checkpoint_does_not_say_stays():
    tensors = parameters()
    groups = [{"params": tensors[:2], "form": "classical"}, {"params": tensors[2:], "maximize": True, "name": "up"}]
    optimizer = momentumlab.Momentum(groups, lr=0.1, momentum=0.9)
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        for name in ("nesterov", "maximize", "form"):  # as in the files of older versions of torch
            del group[name]
    saved["param_groups"][1].pop("name")
    saved["param_groups"][1]["lr"] = 0.3
    optimizer.load_state_dict(saved)
    train(optimizer, tensors, 2)
    assert [group["form"] for group in optimizer.param_groups] == ["classical", "torch"]
    assert [group["maximize"] for group in optimizer.param_groups] == [False, True]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.3]
    assert optimizer.param_groups[1]["name"] == "up"


@pytest.mark.parametrize("form", FORMS)
def test_a_buffer_of_none_as_old_checkpoints_have_it_is_no_buffer(form):
    tensor, other = (torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    optimizers = [momentumlab.Momentum([tensor], lr=0.1, momentum=0.9, form=form) for tensor in (tensor, other)]
    optimizers[0].load_state_dict({"state": {0: {"momentum_buffer": None}}, **groups_of(optimizers[0])})
    assert_same_bits(train(optimizers[0], [tensor], 3), train(optimizers[1], [other], 3))


@pytest.mark.parametrize("form", FORMS)
def test_a_sparse_buffer_of_torchs_is_made_dense(form):
    theirs, ours = (torch.nn.Parameter(torch.ones(3, 2, dtype=torch.float64)) for _ in range(2))
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    optimizer = momentumlab.Momentum([ours], lr=0.1, momentum=0.9, form=form)
    with torch.sparse.check_sparse_tensor_invariants():
        push = torch.sparse_coo_tensor(torch.tensor([[2]]), torch.ones(1, 2, dtype=torch.float64), (3, 2))
        theirs.grad = push
        sgd.step()
        ours.data.copy_(theirs)
        optimizer.load_state_dict(sgd.state_dict())
        for _ in range(5):
            theirs.grad = ours.grad = push
            sgd.step()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("before", "after"), [FORMS, FORMS[::-1]])
def test_a_form_changed_on_the_way_takes_its_velocity_along(before, after):
    changed, unchanged = parameters(), parameters()
    optimizer = momentumlab.Momentum(changed, lr=0.1, momentum=0.9, form=before)
    train(optimizer, changed, 5)
    optimizer.param_groups[0]["form"] = after
    train(optimizer, changed, 5, start=5)
    reference = train(momentumlab.Momentum(unchanged, lr=0.1, momentum=0.9, form=before), unchanged, 10)
    torch.testing.assert_close([tensor.detach() for tensor in changed], reference, rtol=1e-13, atol=1e-13)


def test_a_velocity_cannot_become_a_buffer_while_lr_is_zero():
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form="classical")
    train(optimizer, tensors, 2)
    optimizer.param_groups[0].update(form="torch", lr=0.0)
    with pytest.raises(ValueError, match="only while lr is above 0"):
        optimizer.step()


def test_a_checkpoint_is_cast_to_the_dtype_of_the_parameter():
    wide, narrow = parameters(torch.float64), parameters(torch.bfloat16)
    for form in FORMS:
        optimizer = momentumlab.Momentum(wide, lr=0.1, momentum=0.9, form=form)
        train(optimizer, wide, 5)
        fresh = momentumlab.Momentum(narrow, lr=0.1)
        fresh.load_state_dict(optimizer.state_dict())
        train(fresh, narrow, 1)
        assert {memory.dtype for tensor in narrow for memory in fresh.state[tensor].values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("groups", "words"),
    [(lambda tensors: [{"params": tensors[:1]}, {"params": tensors[1:]}], "number of parameter groups"),
     (lambda tensors: tensors[:-1], "size of optimizer's group")],
)  # fmt: skip
def test_a_checkpoint_of_other_parameters_is_refused(groups, words):
    tensors = parameters()
    saved = momentumlab.Momentum(groups(tensors), lr=0.1).state_dict()
    with pytest.raises(ValueError, match=words):
        momentumlab.Momentum(tensors, lr=0.1).load_state_dict(saved)


# Hooks


def test_hooks_of_the_state_dict_see_it_whole_and_may_change_it():
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9, form="classical")
    train(optimizer, tensors, 2)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda one: seen.append(one is optimizer))
    optimizer.register_state_dict_post_hook(lambda _, saved: seen.append("momentum_buffer" in saved["state"][0]))
    optimizer.register_state_dict_post_hook(lambda _, saved: saved | {"epoch": 3})
    saved = optimizer.state_dict()
    assert seen == [True, True]
    assert saved["epoch"] == 3


def test_hooks_of_loading_come_before_and_after_and_leave_the_callers_dict_alone():
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9)
    seen = []

    def lower(_, saved):
        saved["param_groups"][0]["lr"] = 0.01

    optimizer.register_load_state_dict_pre_hook(lower)
    optimizer.register_load_state_dict_post_hook(lambda one: seen.append(one.param_groups[0]["lr"]))
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert seen == [0.01]
    assert saved["param_groups"][0]["lr"] == 0.1


def test_hooks_of_a_step_come_before_and_after():
    tensor = torch.nn.Parameter(torch.ones(2))
    optimizer = momentumlab.Momentum([tensor], lr=0.1)
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: seen.append(tensor[0].item())),
        optimizer.register_step_post_hook(lambda *_: seen.append(tensor[0].item())),
    ]
    tensor.grad = torch.full((2,), 5.0)
    optimizer.step()
    assert seen == [1.0, 0.5]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 2

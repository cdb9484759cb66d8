"""What nodes tell of their outputs: exact lengths, what survives of them, and what is refused."""

import math
import struct
import zlib

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from energybench.workloads.distributed import messages  # noqa: E402
from energybench.workloads.distributed.codecs import CODECS, DEFAULT, MessageError  # noqa: E402
from energybench.workloads.distributed.messages import Message  # noqa: E402

LOGITS = [name for name, codec in CODECS.items() if codec.source == "logits"]
FINITE = st.floats(-1e4, 1e4, width=32)
"""In this range fp16 holds what is left of a row without its mean."""


@st.composite
def batches(draw, values=FINITE, least=2, most=40):
    rows, width = draw(st.integers(1, 9)), draw(st.integers(least, most))
    row = st.lists(values, min_size=width, max_size=width)
    return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))


def draw_logits(rows=32, classes=10, seed=0):
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def told(name, values):
    return CODECS[name].decode(CODECS[name].encode(values), *values.shape)


@pytest.mark.parametrize(
    ("name", "payload"), [("fp32", 3840), ("4bit", 864), ("confidence", 96), ("top1", 48), ("sign", 120)]
)
def test_a_step_of_four_nodes_on_digits_has_the_published_payload(name, payload):
    assert 3 * CODECS[name].bytes(32, 10) == payload


@pytest.mark.parametrize(
    ("name", "rows", "width", "length"),
    [
        ("fp32", 1, 2, 8),
        ("4bit", 1, 10, 9),
        ("4bit", 3, 3, 17),
        ("confidence", 33, 16, 33),
        ("confidence", 33, 17, 38),
        ("confidence", 8, 100, 11),
        ("top1", 33, 10, 17),
        ("top1", 8, 100, 7),
        ("top1", 1, 2, 1),
        ("representation", 32, 128, 512),
        ("representation", 3, 1, 1),
        ("sign", 3, 100, 38),
    ],
)
def test_lengths_at_odd_batches_and_few_or_many_classes(name, rows, width, length):
    assert CODECS[name].bytes(rows, width) == length
    assert CODECS[name].encode(draw_logits(rows, width)).shape == (length,)


def test_the_default_is_label_and_confidence_and_every_codec_has_a_number_of_its_own():
    assert DEFAULT == "confidence"
    assert list(CODECS) == ["fp32", "4bit", "confidence", "top1", "representation", "sign"]
    assert [codec.number for codec in CODECS.values()] == [1, 2, 3, 4, 5, 6]


@given(logits=batches(), name=st.sampled_from(LOGITS))
def test_what_is_told_of_logits_is_a_distribution_of_each_sample(logits, name):
    codec = CODECS[name]
    message = codec.encode(logits)
    assert message.dtype == torch.uint8
    assert message.shape == (codec.bytes(*logits.shape),)
    shares = codec.decode(message, *logits.shape)
    assert shares.dtype == torch.float32
    assert shares.shape == logits.shape
    assert (shares >= 0).all()
    assert torch.allclose(shares.sum(1), torch.ones(len(logits)), atol=1e-5)


@given(logits=batches(most=130), name=st.sampled_from(["confidence", "top1"]))
def test_the_most_likely_class_survives_the_first_of_them_where_there_are_several(logits, name):
    assert told(name, logits).argmax(1).tolist() == logits.argmax(1).tolist()


@given(logits=batches())
def test_full_precision_tells_the_softmax(logits):
    assert torch.equal(told("fp32", logits), logits.softmax(1))


@given(logits=batches(values=st.floats(-25, 25, width=32)))
def test_four_bits_are_off_by_half_a_level_and_by_what_fp16_rounds(logits):
    recovered = told("4bit", logits).double().log()
    centred = logits.double() - logits.double().mean(1, keepdim=True)
    span = centred.amax(1, keepdim=True) - centred.amin(1, keepdim=True)
    # Logits come back up to a number that a row has in common, so the differences between its classes are compared.
    differences = (recovered[:, :, None] - recovered[:, None]) - (centred[:, :, None] - centred[:, None])
    half_level, rounding = span / 30, centred.abs().amax(1, keepdim=True) * 2**-10
    assert (differences.abs().amax((1, 2))[:, None] <= 2 * (half_level + rounding) + 1e-4).all()


@given(logits=batches(most=10))
def test_four_bits_keep_a_winner_that_is_ahead_by_more_than_a_level(logits):
    first, second = logits.double().topk(2, dim=1).values.T
    span = logits.double().amax(1) - logits.double().amin(1)
    clear = (first - second > span / 15 + span * 2**-9) & (span > 1e-3)
    assert (told("4bit", logits).argmax(1) == logits.argmax(1))[clear].all()


def test_four_bits_hold_differences_far_from_zero():
    assert torch.allclose(told("4bit", torch.tensor([[3000.0, 3001.0]])), torch.tensor([[0.2689, 0.7311]]), atol=1e-3)


def test_two_levels_of_confidence_of_ten_classes():
    shares = told("confidence", torch.tensor([[math.log(0.91 * 9 / 0.09)] + [0.0] * 9]))
    assert torch.allclose(shares, torch.tensor([[14 / 15] + [1 / 135] * 9]))


@pytest.mark.parametrize(("classes", "least"), [(2, 8), (3, 6), (10, 2), (16, 1), (100, 1)])
def test_the_lowest_confidence_is_still_above_the_other_classes(classes, least):
    logits = torch.zeros(1, classes)
    logits[0, -1] = 1e-3
    shares = told("confidence", logits)
    assert float(shares[0, -1]) == pytest.approx(least / 15)
    assert shares.argmax() == classes - 1


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e38, 3e38])
def test_rows_whose_classes_are_all_equal_can_be_told(name, value):
    shares = told(name, torch.full((3, 10), value))
    assert torch.allclose(shares.sum(1), torch.ones(3))
    if name not in ("confidence", "top1"):
        assert torch.allclose(shares, torch.full((3, 10), 0.1))


@pytest.mark.parametrize("name", LOGITS)
def test_the_largest_floats_can_be_told(name):
    logits = torch.tensor([[3e38, -3e38, 3e38], [0.0, 3e38, -3e38]])
    assert torch.allclose(told(name, logits).sum(1), torch.ones(2))
    assert told(name, logits)[1].argmax() == 1


def test_the_sign_shares_a_sample_among_the_classes_above_its_mean():
    assert told("sign", torch.tensor([[0.0, 1.0, 5.0, 4.0]])).tolist() == [[0, 0, 0.5, 0.5]]


def test_a_hidden_unit_is_told_to_be_active_above_its_own_mean_over_the_batch():
    hidden = torch.tensor([[0.0, 100.0, 7.0], [0.0, 101.0, 7.0], [9.0, 105.0, 7.0]])
    assert told("representation", hidden).tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]


@given(hidden=batches(least=1), scale=st.sampled_from([2.0, 1024.0]))
def test_hidden_bits_do_not_depend_on_a_unit_s_scale(hidden, scale):
    bits = told("representation", hidden)
    assert bits.dtype == torch.float32
    assert bits.shape == hidden.shape
    assert torch.equal(told("representation", hidden * scale), bits)


@pytest.mark.parametrize("name", list(CODECS))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_are_refused(name, bad):
    values = draw_logits()
    values[3, 4] = bad
    with pytest.raises(ValueError, match=r"hold NaN or infinity.*training has diverged"):
        CODECS[name].encode(values)


@pytest.mark.parametrize("name", list(CODECS))
def test_an_empty_batch_is_refused(name):
    with pytest.raises(ValueError, match="nothing to tell"):
        CODECS[name].encode(torch.empty(0, 10))


def test_a_single_class_is_refused_and_a_single_hidden_unit_is_not():
    with pytest.raises(ValueError, match="give top1 at least 1 × 2"):
        CODECS["top1"].bytes(4, 1)
    assert CODECS["representation"].bytes(4, 1) == 1


@pytest.mark.parametrize("name", list(CODECS))
def test_a_message_of_another_length_is_refused(name):
    message = CODECS[name].encode(draw_logits())
    for wrong in (message[:-1], torch.cat([message, message[:1]]), message[:0], message.float(), message[None]):
        with pytest.raises(MessageError, match=f"a {name} message of 32 × 10 is {len(message)} B, not torch"):
            CODECS[name].decode(wrong, 32, 10)


@pytest.mark.parametrize(
    ("name", "octets", "complaint"),
    [
        ("confidence", [0xAF], "label 10 is not among 10 classes"),
        ("confidence", [0x31], "a confidence of 1/15 is below 1 in 10"),
        ("top1", [0xF0], "label 15 is not among 10 classes"),
        ("top1", [0x31], "bits are set behind the last sample"),
        ("sign", [0xFF, 0xFF], "bits are set behind the last sample"),
        ("representation", [0xFF, 0x01], "bits are set behind the last sample"),
        ("fp32", [0xFF] * 40, "the node that sent them has diverged"),
        ("4bit", [0x00, 0x3C, 0x00, 0x00, 0, 0, 0, 0, 0], "low and high are no range"),
        ("4bit", [0x00, 0x7C, 0x00, 0x7C, 0, 0, 0, 0, 0], "low and high are no range"),
    ],
)
def test_values_that_no_node_can_send_are_refused(name, octets, complaint):
    with pytest.raises(MessageError, match=complaint):
        CODECS[name].decode(torch.tensor(octets, dtype=torch.uint8), 1, 10)


@given(data=st.data(), name=st.sampled_from(list(CODECS)))
def test_any_bytes_of_the_right_length_are_read_or_refused(data, name):
    rows, width = data.draw(st.integers(1, 6)), data.draw(st.integers(2, 20))
    count = CODECS[name].bytes(rows, width)
    octets = torch.tensor(list(data.draw(st.binary(min_size=count, max_size=count))), dtype=torch.uint8)
    try:
        said = CODECS[name].decode(octets, rows, width)
    except MessageError:
        return
    assert torch.isfinite(said).all()
    assert name == "representation" or torch.allclose(said.sum(1), torch.ones(rows), atol=1e-5)


@pytest.mark.parametrize("name", list(CODECS))
def test_a_message_is_read_out_of_the_middle_of_what_was_gathered(name):
    message = CODECS[name].encode(draw_logits())
    gathered = torch.cat([message[:1], message, message[:3]])
    apart = CODECS[name].decode(gathered[1 : 1 + len(message)], 32, 10)
    assert torch.equal(apart, CODECS[name].decode(message, 32, 10))


def test_the_loss_of_logits_is_the_cross_entropy_against_the_mean_of_the_peers():
    logits = draw_logits(seed=1).requires_grad_()
    peers = torch.stack([told("fp32", draw_logits(seed=2)), told("fp32", draw_logits(seed=3))])
    loss = CODECS["fp32"].loss(logits, peers)
    assert loss.item() == pytest.approx(-(peers.mean(0) * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)
    (slope,) = torch.autograd.grad(loss, logits)
    assert torch.allclose(slope, (logits.softmax(1) - peers.mean(0)) / 32, atol=1e-6)


def test_peers_of_other_widths_and_orders_of_units_are_compared_by_the_similarity_of_samples():
    codec, hidden = CODECS["representation"], (draw_logits(32, 3) @ draw_logits(3, 64, seed=1)).relu()
    bits = told("representation", hidden)
    doubled = torch.cat([bits, bits], 1)[:, torch.randperm(128, generator=torch.Generator().manual_seed(0))]
    near, far = codec.loss(hidden, [bits, doubled]), codec.loss(hidden, [bits.roll(5, 0)])
    assert float(near) == pytest.approx(float(codec.loss(hidden, [bits])), rel=1e-4)
    assert float(near) < 0.2 * float(far)
    assert float(codec.loss(bits, [bits])) == 0


def test_hidden_activity_learns_the_similarities_that_it_is_told():
    codec, hidden = CODECS["representation"], draw_logits(16, 12, seed=1).requires_grad_()
    peers = [told("representation", draw_logits(16, 20, seed=2))]
    before = codec.loss(hidden, peers).item()
    optimizer = torch.optim.Adam([hidden], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        codec.loss(hidden, peers).backward()
        optimizer.step()
    assert codec.loss(hidden, peers).item() < 0.2 * before


@pytest.mark.parametrize("rows", [1, 2])
def test_a_constant_hidden_layer_has_a_loss_and_a_slope_that_are_finite(rows):
    hidden = torch.zeros(rows, 8, requires_grad=True)
    loss = CODECS["representation"].loss(hidden, [torch.ones(rows, 4)])
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(hidden.grad).all()


def packed(sender=3, turn=7, rows=32, classes=10, name="confidence"):
    body = CODECS[name].encode(draw_logits(rows, classes, seed=turn))
    message = Message(sender=sender, round=turn, rows=rows, width=classes, body=body)
    return messages.pack(message, CODECS[name])


def opened(data, *, sender=3, name="confidence", rows=32, width=10):
    return messages.unpack(data, sender=sender, codec=CODECS[name], rows=rows, width=width)


def opened_value(data):
    return messages.unpack_value(data, sender=3, codec=CODECS["confidence"], rows=32, width=10)


def test_a_message_comes_back_behind_a_header_of_22_bytes():
    data = packed()
    assert messages.HEADER_BYTES == 22
    assert len(data) == 22 + 32
    message = opened(data)
    assert (message.sender, message.round, message.rows, message.width) == (3, 7, 32, 10)
    assert torch.equal(message.body, CODECS["confidence"].encode(draw_logits(seed=7)))


def test_hidden_activity_of_any_width_is_taken_where_none_is_expected():
    data = packed(classes=77, name="representation")
    assert opened(data, name="representation", width=None).width == 77


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"name": "top1"}, "rank 3's message has codec confidence, expected top1: start every node"),
        ({"rows": 320}, "rank 3's message has rows 32, expected 320: start every node"),
        ({"width": 100}, "rank 3's message has classes 10, expected 100: start every node"),
        ({"sender": 4}, "rank 4's message has sender 3, expected 4: start every node"),
    ],
)
def test_a_node_that_was_started_otherwise_is_named(expected, complaint):
    with pytest.raises(MessageError, match=complaint):
        opened(packed(), **expected)


def test_a_message_of_another_version_is_refused_before_its_sum_is_looked_at():
    data = bytearray(packed())
    data[2] = 2
    with pytest.raises(MessageError, match="has version 2, expected 1: start the same energybench"):
        opened(bytes(data))


def test_a_message_of_something_else_is_refused():
    with pytest.raises(MessageError, match="rank 3's message is not energybench's"):
        opened(bytes(60))


@pytest.mark.parametrize("width", [0, 1, 9, 2**32 - 1])
def test_a_width_that_the_body_does_not_have_is_refused_though_the_sum_is_right(width):
    head = struct.pack("<2sBBHIII", b"EB", 1, 3, 3, 7, 32, width)
    body = bytes(5)
    data = head + struct.pack("<I", zlib.crc32(head + body)) + body
    with pytest.raises(MessageError, match="body of 5 B, which is not 32 ×"):
        opened(data, width=None)


@given(place=st.integers(0, 53), flip=st.integers(1, 255))
def test_an_altered_byte_is_refused(place, flip):
    data = bytearray(packed())
    data[place] ^= flip
    with pytest.raises(MessageError, match="rank 3"):
        opened(bytes(data))


@given(length=st.integers(0, 53))
def test_a_truncated_message_is_refused(length):
    with pytest.raises(MessageError, match="rank 3"):
        opened(packed()[:length])


@given(data=st.binary(max_size=200))
def test_any_other_bytes_are_refused(data):
    for attempt in (opened, opened_value):
        with pytest.raises(MessageError, match="rank 3"):
            attempt(data)


def test_a_mailbox_holds_the_last_two_rounds_52_bytes_longer_than_their_bodies():
    value = messages.pack_value([packed(turn=7), packed(turn=8)])
    assert len(value) == 2 * 32 + 52
    assert [message.round for message in opened_value(value)] == [7, 8]


def test_a_node_s_first_round_is_alone_in_its_mailbox():
    assert [message.round for message in opened_value(messages.pack_value([packed(turn=0)]))] == [0]


def test_a_mailbox_of_three_rounds_or_of_none_is_refused():
    with pytest.raises(MessageError, match="rank 3's mailbox of 174 B is not 1 to 2 whole messages"):
        opened_value(messages.pack_value([packed()] * 3))
    with pytest.raises(MessageError, match="rank 3's mailbox is empty"):
        opened_value(b"")


@given(place=st.integers(0, 115), flip=st.integers(1, 255))
def test_an_altered_byte_of_a_mailbox_is_refused(place, flip):
    value = bytearray(messages.pack_value([packed(turn=7), packed(turn=8)]))
    value[place] ^= flip
    with pytest.raises(MessageError, match="rank 3"):
        opened_value(bytes(value))


@given(length=st.integers(0, 115))
def test_a_truncated_mailbox_is_refused_unless_it_ends_after_its_first_message(length):
    value = messages.pack_value([packed(turn=7), packed(turn=8)])[:length]
    if length == 58:
        assert [message.round for message in opened_value(value)] == [7]
        return
    with pytest.raises(MessageError, match="rank 3"):
        opened_value(value)

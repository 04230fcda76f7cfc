"""The exactness tests can fail: one damaged line in a copy of the sources turns them red."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import KERNELS, Core
from lnn_edge.files import resources
from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from tests.codegen import test_stream_c, test_unit_loop, test_units, unit_cells
from tests.graph.ops import test_exact
from tests.graph.ops.batch import Batch, Case
from tests.graph.ops.cases import MAKERS, Seeded, edges, kind_of, stress_inputs, wide_operators
from tests.graph.ops.test_vectors import test_reference_gives_the_stored_bits
from tests.graph.sim import test_stream_causal, test_stream_staged
from tests.support import arm_core
from tests.support.host_c import compile_model
from tests.support.toy import toy_every_graph, toy_graph, toy_staged_graph
from tests.tasks.beats import test_find_beats as test_beat_detector

pytestmark = pytest.mark.slow

ROWS = ("linear", "conv1d", "conv2d")
DSP = Core("cortex-m7", dsp=True)
FIXED, DUAL = "firmware/runtime/lnn_fixed.h", "firmware/runtime/lnn_dsp.h"
ROUTINES, RINGS = "firmware/runtime/lnn_rows.h", "firmware/runtime/lnn_ring.h"
FILTERS, AVERAGES = "firmware/runtime/lnn_biquads.h", "firmware/runtime/lnn_average.h"
OPS, RUNTIME = "templates/ops", "firmware/runtime/lnn_runtime.c"
TRIGGERS = "firmware/runtime/lnn_runtime.h"

C_MUTATIONS = [  # maker of operators that must notice, file, line, damage
    ("decimate", FIXED, "product + INT64_C(0x80000000)", "product + INT64_C(0x7FFFFFFF)"),
    ("requantize", FIXED, "(product + INT64_C(0x80000000)) >> 32", "product >> 32"),
    ("linear", FIXED, "(x > high) ? high : x", "(x >= high) ? (high - 1) : x"),
    ("linear", FIXED, "lnn_shift_left(acc, shift)", "lnn_shift_left(acc, 0 * shift)"),
    ("time_gate", FIXED, "sum = INT64_C(0x80000000)", "sum = 0"),
    ("relax", f"{OPS}/elements.c.j2", "_wide + INT64_C(0x80000000)", "_wide + 0x7FFFFFFF"),
    ("remember", FIXED, "(high > 16383)", "(high > 16382)"),
    ("normalize", FIXED, "quotient + ((numerator % denominator) >> 31)", "quotient"),
    ("normalize", FIXED, "2 * n + d", "2 * n"),
    ("lut", FIXED, "fraction, n) + (1 << (n - 1))) >> n", "fraction, n)) >> n"),
    ("lut.of_tanh", FIXED, "left * (1 << n) +", "left +"),
    ("lut.of_tanh", f"{OPS}/elements.c.j2", "{{ op.start }}) >>", "0) >>"),
    ("lut.of_tanh", f"{OPS}/elements.c.j2", "{{ entry }}, {{ op.start }})", "{{ entry }}, 0)"),
    ("lut", DUAL, "fraction * 65535U + 256U", "fraction * 65535U + 255U"),
    ("lut", DUAL, "128 + 256 * more", "127 + 256 * more"),
    ("lut", f"{OPS}/elements.c.j2", "[%s_at >> 8], (uint32_t)", "[%s_at / 256], (uint32_t)"),
    ("linear", f"{OPS}/linear.c.j2", "int32_t acc = {{ c.bias }}[o];", "int32_t acc = 0;"),
    ("linear", f"{OPS}/linear.c.j2", "({{ y.zero_points[0] }})", "0"),
    ("conv1d", f"{OPS}/conv1d.c.j2", "t * {{ op.stride * x.shape[1] }}", "t * {{ x.shape[1] }}"),
    ("linear", f"{OPS}/rows_dsp.c.j2", '"%s[%s] + sums[%d]" % (c.bias, row, r)', '"sums[%d]" % r'),
    ("conv1d", f"{OPS}/rows_dsp.c.j2", "{{ row }} < {{ rows }}", "{{ row }} <= {{ rows }}"),
    ("linear", f"{OPS}/rows_dsp.c.j2", "range(rows % 4)", "range(rows % 4 - 1)"),
    ("linear", ROUTINES, "(int32_t) stream[4U + r]", "0"),
    ("linear", ROUTINES, "total[r] += sums[r]", "total[r] = sums[r]"),
    ("linear", ROUTINES, "4U * groups + skip / 4U", "4U * groups"),
    ("linear", ROUTINES, "low0   = (*stream)[1];", "low0   = 0U;"),
    ("linear", DUAL, "LNN_COPY_WORD(out + 2, &odd);", "LNN_COPY_WORD(out + 2, &even);"),
    ("linear", ROUTINES, "lnn_saturate(value, low,", "lnn_saturate(value, INT16_MIN,"),
    ("conv1d", ROUTINES, "(int32_t) stream[r], 0, zero", "(int32_t) stream[r], 0, 0"),
    ("conv1d", DUAL, "(a & 0xFFFFU) | (b << 16)", "(a & 0xFFFFU) | (b & 0xFFFF0000U)"),
    ("linear", FIXED, "-INT16_MAX, INT16_MAX", "INT16_MIN, INT16_MAX"),
    ("linear", f"{OPS}/rows_dsp.c.j2", "total[o] += sums[0]", "total[o] = sums[0]"),
    ("linear", f"{OPS}/rows_dsp.c.j2", "groups }} + first]", "groups }} + first / 2]"),
    ("conv2d", f"{OPS}/patches.c.j2", "        j = 0;\n", ""),
    ("linear", DUAL, "(int32_t) (raw - low) >> 8", "(int32_t) raw >> 8"),
    ("conv1d", DUAL, "(a >> 16) | (b & 0xFFFF0000U)", "(a >> 16) | (b << 16)"),
    ("linear", f"{OPS}/rows_dsp.c.j2", "= last[{{ r }}];", "= last[0];"),
    ("linear", DUAL, "((bytes >> 7) & 0x00010001U) * 0xFF00U", "0U"),
    ("leaky_average", AVERAGES, "+ 8192) >> 14", "+ 8191) >> 14"),
    ("leaky_average", AVERAGES, "(next == INT32_MIN)", "(next == 0)"),
    ("leaky_average.time", f"{OPS}/leaky_average.c.j2", "+ 8192) >> 14", "+ 8191) >> 14"),
    ("leaky_average.time", f"{OPS}/leaky_average.c.j2", "x2[0] * {{ op.multiplier }}", "x2[0]"),
    ("center", f"{OPS}/center.c.j2", "x.shape %}", "x.shape %}{% set frames = frames - 1 %}"),
    ("center", f"{OPS}/center.c.j2", "x0[i + {{ k }}] - mean", "x0[i] - mean"),
    ("normalize", f"{OPS}/normalize.c.j2", "* x0[i + {{ k }}]", "* x0[i]"),
    ("template_distance", f"{OPS}/template_distance.c.j2", "total{{ k }} +=", "total{{ k }} ="),
    ("mean_abs", f"{OPS}/mean_abs.c.j2", "(value{{ k }} < 0)", "(value{{ k }} < -1)"),
    ("signal_quality", f"{OPS}/signal_quality.c.j2", "noisy &= flaws", "noisy |= flaws"),
    ("signal_quality", f"{OPS}/signal_quality.c.j2", "lowest <= {{ op.low", "lowest < {{ op.low"),
    ("signal_quality", f"{OPS}/signal_quality.c.j2", "bends(op.last, frames)", "bends(0, 2)"),
    ("signal_quality", f"{OPS}/signal_quality.c.j2", "(noise > ((", "(noise >= (("),
    ("mean_pool", f"{OPS}/mean_pool.c.j2", "{{ -frames * x.zero_points[0] }}", "0"),
    (
        "mix",
        f"{OPS}/elements.c.j2",
        "{{ x[0] }} * 32768 + {{ x[2] }} * (",
        "{{ x[0] }} * 32767 + {{ x[2] }} * (",
    ),
    ("synapses", f"{OPS}/synapse_sums.c.j2", " + synapse[0]", ""),
    ("synapses", f"{OPS}/synapse_sums.c.j2", "(synapse[2] >> 16) * gate", "synapse[2] * 0"),
    ("synapses", f"{OPS}/synapse_sums.c.j2", "argument & 255", "argument & 127"),
    ("synapses", DUAL, "(synapse[1] >> 16) + synapse[0]", "(synapse[1] >> 16)"),
    ("synapses", DUAL, "num += (uint32_t) ((synapse[2] >> 16) * gate)", "num += 0U"),
    ("synapses", f"{OPS}/synapses_dsp.c.j2", "{{ c.begin }}[2 * j + 1]", "{{ c.begin }}[2 * j]"),
    ("unfold", f"{OPS}/unfold.c.j2", "(uint32_t) x2[j] + neuron[1]", "(uint32_t) x2[j]"),
    ("unfold", f"{OPS}/unfold.c.j2", "capacity + taken;", "capacity;"),
    ("unfold", f"{OPS}/unfold.c.j2", "+ 1) >> 1)", ") >> 1)"),
    ("unfold", f"{OPS}/unfold.c.j2", "INT64_C({{ 2 ** (op.gap_bits - 1) }})", "0"),
    ("unfold", f"{OPS}/unfold.c.j2", "(y0[j] + 16384) >> 15", "y0[j] >> 15"),
    ("unfold", FIXED, ">> 16) + 1U)", ">> 16) + 2U)"),
    ("stft_magnitude", FIXED, "+ (INT64_C(1) << 29)) >> 30", ") >> 30"),
    ("stft_magnitude", FIXED, "(root - 1U) : root", "root : root"),
    ("stft_magnitude", FIXED, ": most, most) + 1U) >> 1", ": most, most)) >> 1"),
    (
        "stft_magnitude",
        FIXED,
        "multiplier + low) >> shift",
        "multiplier + low / 2U) >> shift",
    ),
    ("stft_magnitude", f"{OPS}/stft_magnitude.c.j2", "s_re + t_im, s_im", "s_re - t_im, s_im"),
    (
        "stft_magnitude",
        f"{OPS}/stft_magnitude.c.j2",
        "j < half / 2; j += 2",
        "j < half / 2 - 2; j += 2",
    ),
    ("add", f"{OPS}/elements.c.j2", "op.shifts[0] }}, {{ x[1] }}", "op.shifts[0] }}, {{ x[0] }}"),
    ("conv2d", f"{OPS}/patches.c.j2", "{{ x.zero_points[0] }}", "0"),
    ("conv2d", f"{OPS}/patches.c.j2", "row * {{ g.strides[0] }}", "row"),
    ("conv2d", f"{OPS}/conv2d.c.j2", "int32_t acc = {{ c.bias }}[o];", "int32_t acc = 0;"),
    ("slice", f"{OPS}/elementwise.c.j2", '"%d + i" % op.first', '"i"'),
    ("loop", f"{OPS}/loop.c.j2", "(t == {{ op.count - 1 }}U)", "(t == 0U)"),
    ("constant", f"{OPS}/constant.c.j2", "{{ c.value }}[i]", "{{ c.value }}[0]"),
    ("concat", f"{OPS}/concat.c.j2", "ns.offset + part.shape[-1]", "ns.offset"),
    ("concat.rows", f"{OPS}/concat.c.j2", "[r * {{ part.shape[-1] }} + i]", "[i]"),
    ("template_distance", f"{OPS}/template_distance.c.j2", "== INT16_MIN", "== INT16_MAX"),
    (
        "gated_sum",
        f"{OPS}/elements.c.j2",
        "* 32768 + {{ x[2] }} * {{ x[1] }}",
        "* 32767 + {{ x[2] }} * {{ x[1] }}",
    ),
    ("decay", f"{OPS}/elements.c.j2", "({{ x[0] }} < 0)", "({{ x[0] }} < -1)"),
    ("decay", f"{OPS}/elements.c.j2", " + {{ c.rate }}[{{ i }}]", ""),
    ("relax", f"{OPS}/elements.c.j2", "_wide + INT64_C(0x80000000)", "_wide"),
    ("gate", f"{OPS}/elements.c.j2", "{{ x[1] }} * {{ x[0] }}", "{{ x[1] }} * {{ x[1] }}"),
    ("remember", FIXED, "int64_t sum = 16384;", "int64_t sum = 16383;"),
    ("remember", FIXED, "(high < 0) ? INT32_MIN : INT32_MAX", "(high < 0) ? INT32_MIN : 0"),
    ("biquads", f"{OPS}/biquads.c.j2", "total = old[{{ at + 2 }}];", "total = 0;"),
    ("biquads", f"{OPS}/biquads.c.j2", "* before{{ k }}", "* older{{ k }}"),
    ("biquads", f"{OPS}/biquads.c.j2", "next[1] = signal;", "next[1] = before0;"),
    ("biquads", FILTERS, "(int64_t) section[1] * before", "(int64_t) section[1] * older"),
    ("biquads", FILTERS, "const int32_t *section = first;", "const int32_t *section = first + 6;"),
    ("biquads", FILTERS, "state[4] = signal;", "state[4] = made;"),
    ("biquads", FILTERS, "gains = first + filter[1] / 4", "gains = first"),
    ("biquads", FIXED, "(low & 536870911U)", "268435456"),
    ("biquads", FIXED, "-536870912 : 536870911;", "-536870912 : 536870910;"),
    ("r_peaks", f"{OPS}/r_peaks.c.j2", "told + {{ t.delay + 1 }}", "told + {{ t.delay }}"),
    (
        "r_peaks",
        f"{OPS}/r_peaks.c.j2",
        "for (int32_t i = 7; i > 0; i--)",
        "for (int32_t i = 7; i > 1; i--)",
    ),
    (
        "r_peaks.telling",
        f"{OPS}/r_peaks.c.j2",
        "op.share }}) >> 8;\n            for",
        "op.share }}) >> 7;\n            for",
    ),
    ("r_peaks.telling", f"{OPS}/r_peaks.c.j2", "again < {{ 8 // op.rules.blocks }}", "again < 1"),
    (
        "r_peaks.telling",
        f"{OPS}/r_peaks.c.j2",
        "(learned[i] <= {{ op.rules.furthest_start }})",
        "true",
    ),
    (
        "r_peaks.telling",
        f"{OPS}/r_peaks.c.j2",
        '(told > 0) ? told : {{ v("beat_age") }};',
        '{{ v("beat_age") }};',
    ),
    ("requantize.elements", f"{OPS}/rescale_each.c.j2", "y0[first + i]", "y0[i]"),
    ("requantize.elements", f"{OPS}/rescale_each.c.j2", '"%s[i]" % c.zero_y', '"%s[0]" % c.zero_y'),
    ("slice.elements", f"{OPS}/rescale_each.c.j2", "{{ op.start }} + ", ""),
    ("max_pool", f"{OPS}/max_pool.c.j2", "{{ x.qmin }}", "0"),
    ("max_pool", f"{OPS}/pool.c.j2", "(first_column < 0) ? 0 : first_column", "first_column"),
    ("average_pool", f"{OPS}/average_pool.c.j2", " if x.zero_points[0]", " if false"),
    ("average_pool", f"{OPS}/pool.c.j2", "i * {{ op.walk.image[1] }} + j", "i + j"),
    ("scale", f"{OPS}/scale.c.j2", " + {{ c.bias }}[k]", ""),
    ("multiply", f"{OPS}/multiply.c.j2", "x1[i]", "x1[0]"),
    ("subtract", f"{OPS}/elements.c.j2", '(-1 if op.kind == "subtract" else 1) * ', ""),
    ("conv1d.walk", f"{OPS}/conv_groups.c.j2", "o / {{ own }} * {{ channels }}", "0"),
    ("conv2d.walk", f"{OPS}/conv_groups.c.j2", "weight += {{ columns }};", ""),
    ("conv2d.walk", f"{OPS}/patches.c.j2", '"j * %d" % g.dilation[1]', '"j"'),
]
RUNTIME_MUTATIONS = [  # file and line of the runtime, damage
    (RUNTIME, "% length + length - (ring->frames", "% length + length - 1U - (ring->frames"),
    (f"{OPS}/decimate.c.j2", "o.ring * channels - block", "(o.ring - 1) * channels"),
    (f"{OPS}/decimate.c.j2", "(next == stop) ? x0 : next", "(next > stop) ? x0 : next"),
    (RUNTIME, "(left < length - slot) ?", "(left <= length - slot + 1U) ?"),
    (RUNTIME, "i += BLOCK)", "i += BLOCK + 1U)"),
    (RUNTIME, "(ring->frames + i) % length", "(ring->frames + i + 1U) % length"),
    (RUNTIME, "(gap < trigger->wait) ? gap : trigger->wait", "gap"),
    (RUNTIME, "stamp - events->last", "stamp - events->last + 1U"),
    (RUNTIME, "(known > 0U) && (stamp <= newest)", "(known > 0U) && (stamp < newest)"),
    (RINGS, "&data[ring->frames % length *", "&data[(ring->frames + 1U) % length *"),
    (RINGS, "if (ring->primed == 0U)", "if (ring->primed == 2U)"),
]
EVERY_MUTATIONS = [  # the same, of the lines that fire on frames
    (TRIGGERS, "(frames - trigger->first) % trigger->hop", "frames % trigger->hop"),
    (RUNTIME, "frames + trigger->length > end", "frames + trigger->length >= end"),
    (RUNTIME, "firing->stamp   = end - 1U", "firing->stamp   = end"),
    (RUNTIME, "(*due != 0U)", "(frames != 0U)"),
]
STAGED_MUTATIONS = [  # the same, of stages before the decision
    ("reader->length - (next_firing", "reader->length - 1U - (next_firing"),
    ("&data[reader->hop * channels]", "&data[channels]"),
    ("count >= reader->length + reader->hop", "count >= reader->hop"),
    ("(frames - trigger->first) / trigger->hop + 1U", "(frames - trigger->first) / trigger->hop"),
]
CAUSAL_MUTATIONS = [  # of rings that are read tap by tap
    ("length - back) % length;", "length - back + 1U) % length;"),
    ("length - back) % length * channels", "length - back + 1U) % length * channels"),
    ("slot += dilation", "slot += dilation - 1U"),
    ("(slot >= length)", "(slot > length)"),
    ("ring->frames % length * channels", "(ring->frames + 1U) % length * channels"),
]
DETECTOR_MUTATIONS = [  # of rules that a single step seldom meets
    ("seen > most", "seen >= most"),
    (">> 8)) * 128)", ">> 8)) * 64)"),
    (">= {{ t.gap }}", ">= 0"),
]
SOURCE_MUTATIONS = [  # and of events that a model finds
    ("frames - distance", "frames - distance + 1U"),
    ("(stamp - frames <= LNN_MOST_AHEAD)", "(stamp - frames <= 0xFFFFFFFFU)"),
]
UNIT_MUTATIONS = [
    (f"{OPS}/units.c.j2", "({{ place }} < {{ layer.size }})", "({{ place }} <= {{ layer.size }})"),
    (f"{OPS}/units.c.j2", 'block[%d]" % (layer.rows + row)', 'block[%d]" % row'),
    (f"{OPS}/units.c.j2", "part.at + whole + order[k % 4]", "part.at + whole + k % 4"),
    (f"{OPS}/units.c.j2", '["v0", "v2", "v1", "v3"] if', '["v0", "v1", "v2", "v3"] if'),
    (f"{OPS}/units.c.j2", "0 if t.size == 1 else place", "place"),
    (f"{OPS}/units.c.j2", "packed[{{ place }}] =", "packed[j] ="),
    (f"{OPS}/units.c.j2", "(layer.size + 3) // 4", "layer.size // 4"),
    (DUAL, "0xFF80U) ? 0x10000U", "0xFF80U) ? 0U"),
    (FIXED, "-INT8_MAX, INT8_MAX", "INT8_MIN, INT8_MAX"),
    (DUAL, "weight += 3;", "weight += 2;"),
    (DUAL, "= block[5];", "= 0U;"),
]
LOOP = f"{OPS}/unit_loop.c.j2"
ARM_UNIT_MUTATIONS = [
    (
        LOOP,
        '"   smmulr r5, r5, r10\\n"\n{% elif s.what == "values_6"',
        '{% elif s.what == "values_6"',
    ),
    (LOOP, '"   smmulr r7, r7, r12\\n"\n', ""),
    (LOOP, '"   lsl r6, r6, r12\\n"\n', ""),
    (LOOP, "ssat r{{ r[0] }}", "usat r{{ r[0] }}"),
    (LOOP, '"   mla r{{ r[0] }}, r{{ r[0] }}, r{{ r[1] }}', '"   mul r{{ r[0] }}, r{{ r[1] }}'),
    (LOOP, "{% if u.left_out and k == u.left_out %}", "{% if u.left_out and k == 0 %}"),
    (LOOP, '"   uxtb r{{ r[1] }}, r{{ r[0] }}\\n"', '"   mov r{{ r[1] }}, r{{ r[0] }}\\n"'),
    (LOOP, "smuad r{{ r[0] }}", "smusd r{{ r[0] }}"),
    (LOOP, "lsl #15", "lsl #14"),
    (LOOP, '"   mov r{{ r[0] }}, #16384\\n"', '"   mov r{{ r[0] }}, #0\\n"'),
    (LOOP, "lsl #17", "lsl #16"),
    (ROUTINES, '"   sxtb16 r11, r11\\n" \\\n', ""),
    (FIXED, "qsub8 %0, %0, %2", "sub %0, %0, %2"),
    (
        DUAL,
        '"   sxtb16 r8, r8\\n" \\\n    "   smlad %[low0], r4, " two',
        '"   smlad %[low0], r4, " two',
    ),
]
MEMORY_MUTATIONS = [
    ("addeq r{{ r[0] }}, r{{ r[0] }}, #1", "addeq r{{ r[0] }}, r{{ r[0] }}, #0"),
    ("ssat r{{ r[2] }}, #15", "ssat r{{ r[2] }}, #16"),
    ("mvn r{{ r[0] }}, #0x80000000", "mov r{{ r[0] }}, #0x80000000"),
    ('"   beq 7f\\n"\n', ""),
]
ARM_MUTATIONS = [
    ("time_gate", FIXED, "smlal %0, %1, %2, %3", "smlal %0, %1, %3, %3"),
    ("time_gate", FIXED, "low  = 0x80000000U", "low  = 0U"),
    ("biquads", FILTERS, '"   ubfx r9, r9, #0, #29\\n"', '""'),
    ("biquads", FILTERS, "mvnlt r4, r4", "mvnlt r4, r10"),
    ("biquads", FILTERS, '"   add r2, r2, #20\\n"', '""'),
    ("linear", ROUTINES, '"   add r10, r10, r5\\n"', '""'),
    ("linear", ROUTINES, '"   add r0, r0, r11\\n"', '""'),
    ("stft_magnitude", FIXED, "adc %0, %0, %1, lsl #2", "add %0, %0, %1, lsl #2"),
    ("stft_magnitude", FIXED, "strd %1, %2, %0", "strd %2, %1, %0"),
    ("synapses", DUAL, '"   smlabb %[den], r8, r4, %[den]\\n"', ""),
    ("unfold", DUAL, '"   uxtb %[part], r4\\n"', '"   mov %[part], r4\\n"'),
    ("requantize", FIXED, '"smmulr %0', '"smmul %0'),
    ("linear", FIXED, '"ssat %0, #8', '"ssat %0, #7'),
    ("linear", DUAL, '"   smlad %[low1], r12, %[two], %[low1]\\n"', ""),
    ("linear", ROUTINES, '"   sxtb16 r9, r9\\n"', '"   nop.w\\n"'),
    ("linear", ROUTINES, '"   qsub16 r6, r6, r12\\n"', '"   ssub16 r6, r6, r12\\n"'),
    ("linear", ROUTINES, '"   lsl r5, r5, lr\\n"', '""'),
    ("linear", ROUTINES, '28 * (" first " + 3)', '28 * (" first " + 2)'),
    ("conv1d", ROUTINES, '"   smmlar r6, r6, r9, r12\\n"', '"   smmulr r6, r6, r9\\n"'),
    ("conv1d", ROUTINES, "sxtb16 r3, r3, ror #8", "sxtb16 r3, r3, ror #16"),
    ("conv1d", DUAL, '"pkhtb %0, %2, %1, asr #16"', '"pkhtb %0, %1, %2, asr #16"'),
    ("linear", FIXED, "qsub16 %0, %0, %2", "sub %0, %0, %2"),
    ("linear", DUAL, '"   sxtb16 r5, r5, ror #8\\n"', '"   sxtb16 r5, r5\\n"'),
]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let generator and compilers read a copy of templates and firmware."""
    for name in ("templates", "firmware"):
        shutil.copytree(resources.path(name), tmp_path / name)
    monkeypatch.setattr(resources, "path", lambda name: tmp_path / name)
    return tmp_path


def damage(sources: Path, file: str, line: str, replacement: str) -> None:
    text = (sources / file).read_text()
    assert line in text, f"{file} has changed: {line!r} is not in it; adapt this test"
    (sources / file).write_text(text.replace(line, replacement))


def small_batch(name: str) -> Batch:
    cases = []
    for op in wide_operators().get(name, []):
        inputs = stress_inputs(op, 4, 0)
        cases += [Case(op, k, inputs) for k in KERNELS[op.kind] if k.fits(op, DSP)]
    for op, inputs in [edges()[name]] if name in edges() else []:
        cases += [Case(op, k, inputs) for k in KERNELS[op.kind] if k.fits(op, DSP)]
    for seed in range(6 if name in ROWS else 16):
        op = MAKERS[name](Seeded(seed))
        inputs = stress_inputs(op, 12, seed)
        cases += [Case(op, k, inputs) for k in KERNELS[op.kind] if k.fits(op, DSP)]
    return Batch(tuple(cases))


@pytest.mark.parametrize("name", sorted({m[0] for m in C_MUTATIONS}))
def test_undamaged_sources_are_green(name: str, sources: Path) -> None:
    test_exact.test_host_c_is_bit_exact_and_clean_under_sanitizers(
        small_batch(name), sources / "build"
    )


@pytest.mark.parametrize(("name", "file", "line", "replacement"), C_MUTATIONS)
def test_damaged_c_is_seen(
    name: str, file: str, line: str, replacement: str, sources: Path
) -> None:
    damage(sources, file, line, replacement)
    with pytest.raises(AssertionError, match=f"{kind_of(name)}|runtime error|AddressSanitizer"):
        test_exact.test_host_c_is_bit_exact_and_clean_under_sanitizers(
            small_batch(name), sources / "build"
        )


@pytest.mark.target
@pytest.mark.parametrize(("kind", "file", "line", "replacement"), ARM_MUTATIONS)
def test_damaged_instructions_are_seen(
    kind: str, file: str, line: str, replacement: str, sources: Path
) -> None:
    damage(sources, file, line, replacement)
    arm_core.require_emulator()
    wrong_or_lost = (AssertionError, pytest.importorskip("unicorn").UcError)
    with pytest.raises(wrong_or_lost, match=f"{kind}|UC_ERR"):
        test_exact.test_arm_code_is_bit_exact(small_batch(kind), "cortex-m7", sources / "build")


def test_undamaged_units_are_green(sources: Path) -> None:
    batch = unit_cells.batch_of(unit_cells.few())
    test_units.test_the_host_gives_the_bits_of_the_operators(batch, sources / "build")


@pytest.mark.parametrize(("file", "line", "replacement"), UNIT_MUTATIONS)
def test_damaged_units_are_seen(file: str, line: str, replacement: str, sources: Path) -> None:
    batch = unit_cells.batch_of(unit_cells.few())
    damage(sources, file, line, replacement)
    with pytest.raises(AssertionError, match=r"units|runtime error|AddressSanitizer"):
        test_units.test_the_host_gives_the_bits_of_the_operators(batch, sources / "build")


@pytest.mark.target
@pytest.mark.parametrize(("file", "line", "replacement"), ARM_UNIT_MUTATIONS)
def test_damaged_instructions_of_units_are_seen(
    file: str, line: str, replacement: str, sources: Path
) -> None:
    batch = unit_cells.batch_of(unit_cells.few())
    damage(sources, file, line, replacement)
    with pytest.raises(AssertionError, match="units"):
        test_units.test_arm_gives_the_bits_of_the_operators(batch, "cortex-m7", sources / "build")


@pytest.mark.target
@pytest.mark.parametrize(("line", "replacement"), MEMORY_MUTATIONS)
def test_damaged_limits_of_a_memory_are_seen(line: str, replacement: str, sources: Path) -> None:
    damage(sources, LOOP, line, replacement)
    arm_core.require_emulator()
    batch = test_unit_loop.edges_of_memory()
    with pytest.raises(AssertionError, match="units"):
        test_units.test_arm_gives_the_bits_of_the_operators(batch, "cortex-m7", sources / "build")


@pytest.mark.parametrize(("file", "line", "replacement"), RUNTIME_MUTATIONS)
def test_damaged_runtime_is_seen(file: str, line: str, replacement: str, sources: Path) -> None:
    damage(sources, file, line, replacement)
    build = sources / "build"
    build.mkdir()
    program = compile_model(toy_graph(), build)
    copied = sources / "copied"
    copied.mkdir()
    with pytest.raises(AssertionError):
        both_stream_tests(program, copied)


def both_stream_tests(program: Path, copied: Path) -> None:
    """A window that is read in its ring, and one that is copied."""
    stream_tests(program)
    test_stream_c.test_an_event_stage_whose_ring_does_not_fill_words_is_bit_exact(copied)


def stream_tests(program: Path) -> None:
    test_stream_c.test_random_records_are_bit_exact(program, -600, 600)
    test_stream_c.test_trouble_is_counted_and_bit_exact(program)
    test_stream_c.test_a_gap_shorter_than_the_ring_repeats_the_last_frame(program)
    test_stream_c.test_events_announced_ahead_are_bit_exact(program)


@pytest.mark.parametrize(("file", "line", "replacement"), EVERY_MUTATIONS)
def test_damaged_firing_on_frames_is_seen(
    file: str, line: str, replacement: str, sources: Path
) -> None:
    damage(sources, file, line, replacement)
    build = sources / "build"
    build.mkdir()
    program = compile_model(toy_every_graph(), build)
    with pytest.raises(AssertionError):
        every_tests(program)


def every_tests(program: Path) -> None:
    for lost in (3, 4):
        test_stream_c.test_a_firing_that_waits_is_made_or_dropped_alike(program, lost)
    test_stream_c.test_a_stage_that_fires_on_frames_is_bit_exact(program, -4000, 4000)


@pytest.mark.parametrize(("line", "replacement"), STAGED_MUTATIONS)
def test_damaged_stages_are_seen(line: str, replacement: str, sources: Path) -> None:
    damage(sources, RUNTIME, line, replacement)
    build = sources / "build"
    build.mkdir()
    program = compile_model(toy_staged_graph(1), build)
    with pytest.raises(AssertionError):
        staged_tests(program)


def staged_tests(program: Path) -> None:
    test_stream_staged.test_random_frames_are_bit_exact(program, 1, -4000, 4000)
    for lost in (1, 4, 7, 10):
        test_stream_staged.test_lost_frames_are_bit_exact(program, 1, lost, 25)


@pytest.mark.parametrize(("line", "replacement"), CAUSAL_MUTATIONS)
def test_damaged_taps_are_seen(line: str, replacement: str, sources: Path) -> None:
    damage(sources, "firmware/runtime/lnn_ring.h", line, replacement)
    build = sources / "build"
    build.mkdir()
    graph = test_stream_causal.NETS["pairs"].graph()
    program = compile_model(graph, build)
    with pytest.raises(AssertionError):
        test_stream_causal.test_random_frames_are_bit_exact(graph, program, -4000, 4000)


@pytest.mark.parametrize(("line", "replacement"), DETECTOR_MUTATIONS)
def test_damaged_rules_of_the_detector_are_seen(line: str, replacement: str, sources: Path) -> None:
    damage(sources, f"{OPS}/r_peaks.c.j2", line, replacement)
    build = sources / "build"
    build.mkdir()
    with pytest.raises(AssertionError):
        test_beat_detector.test_generated_c_finds_what_the_simulator_finds(build)


@pytest.mark.parametrize(("line", "replacement"), SOURCE_MUTATIONS)
def test_damaged_notes_of_events_are_seen(line: str, replacement: str, sources: Path) -> None:
    damage(sources, RUNTIME, line, replacement)
    build = sources / "build"
    build.mkdir()
    with pytest.raises(AssertionError):
        test_stream_staged.test_events_that_the_model_finds_are_bit_exact(build, 40, 300)


def floor_instead(acc: Array, multiplier: Array, shift: Array) -> Array:
    return ((acc << shift) * multiplier) >> 32


def half_to_even(acc: Array, multiplier: Array, shift: Array) -> Array:
    return np.rint((acc << shift) * multiplier / 2.0**32).astype(np.int64)


@pytest.mark.parametrize("rounding", [floor_instead, half_to_even])
def test_another_rounding_in_python_is_seen(
    rounding: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed, "requantize", rounding)
    with pytest.raises(AssertionError):
        vector_tests()


def vector_tests() -> None:
    for kind in MAKERS:
        test_reference_gives_the_stored_bits(kind)

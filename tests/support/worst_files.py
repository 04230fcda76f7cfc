"""Files of at most 10 MB that cost their readers the most: bombs, and plain ones of that size."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

MEGABYTE = 1 << 20
MOST = 10 * MEGABYTE


def npy_int8(path: Path) -> None:
    np.save(path, np.zeros((MOST // 2 - 100, 2), np.int8))


def npy_float32(path: Path) -> None:
    np.save(path, np.zeros((MOST // 8 - 100, 2), np.float32))


def npz_zeros(path: Path) -> None:
    """Half a MB that unpacks to half a GB."""
    _zip(path, {"x.npy": _header("|i1", (500 * MEGABYTE,))}, 500 * MEGABYTE)


def npz_int8(path: Path) -> None:
    _zip(path, {"x.npy": _header("|i1", (60 * MEGABYTE,))}, 60 * MEGABYTE)


def npz_labels(path: Path) -> None:
    """A text for each sample."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2_000_000).astype("U1")
    np.savez_compressed(path, x=np.zeros((2_000_000, 1), np.int16), y=labels, fs=1.0)


def _header(descr: str, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    facts = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, facts)
    return file.getvalue()


def _zip(path: Path, members: dict[str, bytes], zeros: int) -> None:
    """Write members, the last of them followed by zeros."""
    last = list(members)[-1]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
                for at in range(0, zeros if name == last else 0, MEGABYTE):
                    file.write(bytes(min(MEGABYTE, zeros - at)))


def csv_numbers(path: Path) -> None:
    path.write_bytes(b"a,b\n" + b"1,2\n" * (MOST // 4 - 8))


def csv_wide(path: Path) -> None:
    row = ",".join("1" for _ in range(5_000)) + "\n"
    path.write_text(row * (MOST // len(row)))


def csv_texts(path: Path) -> None:
    """Labels that change with every row."""
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(1_000))
    path.write_text("x,label\n" + rows * (MOST // len(rows)))


def csv_clock(path: Path) -> None:
    rows = "".join(f"0:{i // 60:02d}:{i % 60:02d}.0,1\n" for i in range(700_000))
    path.write_text("time,x\n" + rows[: MOST - 20].rsplit("\n", 1)[0] + "\n")


def csv_dates(path: Path) -> None:
    rows = "".join(
        f"2020-01-01T{i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d},1\n" for i in range(80_000)
    )
    path.write_text("time,x\n" + (rows * 6)[: MOST - 40].rsplit("\n", 1)[0] + "\n")


def csv_holes(path: Path) -> None:
    """Rows a microsecond apart, in pairs, and then a hole of nine seconds."""
    rows = "".join(f"{9 * i}.0,1\n{9 * i}.000001,1\n{9 * i}.000002,1\n" for i in range(25))
    path.write_text("time_s,x\n" + rows)


def csv_subjects(path: Path) -> None:
    """A record for each row."""
    rows = "".join(f"{i},1\n" for i in range(1_200_000))
    path.write_text("subject,x\n" + rows[: MOST - 20].rsplit("\n", 1)[0] + "\n")


def csv_gz(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"a,b\n")
        for _ in range(100):
            file.write(b"1,2\n" * 250_000)


def parquet_constant(path: Path) -> None:
    """A column of one value, run-length coded."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"x": np.zeros(4_000_000), "y": np.zeros(4_000_000)})
    with parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(2):
            writer.write_table(table)


def parquet_texts(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    words = pyarrow.array(["a" * 1000, "b"] * 500_000).dictionary_encode()
    parquet.write_table(pyarrow.table({"x": np.arange(1_000_000), "label": words}), path)


def edf(path: Path) -> None:
    """All that 10 MB hold, written by hand: pyedflib is slow at it."""
    seconds = MOST // 2 // 1_000 - 4
    facts = ["0", "X", "X", "01.01.20", "00.00.00", "512", "", str(seconds), "1", "1"]
    sizes = [8, 80, 80, 8, 8, 8, 44, 8, 8, 4]
    head = "".join(f.ljust(n)[:n] for f, n in zip(facts, sizes, strict=True))
    fields = ["ECG", "", "mV", "-1", "1", "-32768", "32767", "", "1000", ""]
    widths = [16, 80, 8, 8, 8, 8, 8, 80, 8, 32]
    head += "".join(f.ljust(n)[:n] for f, n in zip(fields, widths, strict=True))
    path.write_bytes(head.encode() + bytes(2_000 * seconds))


def hdf5_zeros(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["fs"] = 1.0
        more = {"chunks": (1 << 22, 1), "compression": "gzip", "compression_opts": 9}
        data = file.create_dataset("x", (1 << 25, 1), np.float64, **more)
        for at in range(0, 1 << 25, 1 << 22):
            data[at : at + (1 << 22)] = 0.0


def hdf5_many(path: Path) -> None:
    """As many small arrays as are taken."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["fs"] = 1.0
        for i in range(450):
            file.create_group(f"g{i}")["x"] = np.zeros((5_000, 1), np.int8)


def mat_zeros(path: Path) -> None:
    from scipy.io import savemat

    savemat(path, {"val": np.zeros((1 << 24, 4)), "fs": 1.0}, do_compression=True)


def mat_cells(path: Path) -> None:
    from scipy.io import savemat

    cells = np.full(60_000, "a", object)
    savemat(path, {"val": np.zeros((60_000, 1)), "label": cells, "fs": 1.0}, do_compression=False)


def wfdb_12(path: Path) -> None:
    """Format 212: three bytes hold two samples."""
    count = (MOST // 3 - 4) * 2
    path.write_text(f"r 1 100 {count}\nr.dat 212 200 12 0 0 0 0 I\n")
    path.with_suffix(".dat").write_bytes(bytes(count // 2 * 3))


def wfdb_8(path: Path) -> None:
    """Format 80: a byte each."""
    count = MOST - 4
    path.write_text(f"r 1 100 {count}\nr.dat 80 200 8 0 0 0 0 I\n")
    path.with_suffix(".dat").write_bytes(b"\x80" * count)


def wfdb_marks(path: Path) -> None:
    """Annotations, two bytes each."""
    path.write_text("r 1 100 1000\nr.dat 16 200 16 0 0 0 0 I\n")
    path.with_suffix(".dat").write_bytes(bytes(2_000))
    path.with_suffix(".atr").write_bytes(
        (1 << 10).to_bytes(2, "little") * (MOST // 2 - 2) + bytes(2)
    )


def wfdb_segments(path: Path) -> None:
    """A header that names one segment again and again."""
    count = 4_000
    lines = [f"r/{count} 1 100 {count * 20_000}", *["s 20000"] * count]
    path.write_text("\n".join(lines) + "\n")
    path.with_name("s.hea").write_text("s 1 100 20000\ns.dat 16 200 16 0 0 0 0 I\n")
    path.with_name("s.dat").write_bytes(bytes(40_000))


def graph_zeros(path: Path) -> None:
    members = {"graph.json": json.dumps({"format": 1, "constants": {}}).encode(), "c.npy": b""}
    _zip(path, members, 1 << 30)


def graph_json(path: Path) -> None:
    document = {"format": 1, "constants": {str(i): "" for i in range(150_000)}}
    _zip(path, {"graph.json": json.dumps(document).encode()}, 0)


def graph_nested(path: Path) -> None:
    text = '{"format": 1, "x": ' + "[" + "[]," * 1_300_000 + "0]}"
    _zip(path, {"graph.json": text.encode()}, 0)


def keras_zeros(path: Path) -> None:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as weights:
        cell = weights.create_group("layers/cfc/cell/vars")
        cell["0"] = np.zeros((6_000, 6_000), np.float32)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("model.weights.h5", file.getvalue())


def keras_config(path: Path) -> None:
    text = '{"config": [' + "{}," * 5_000_000 + "0]}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("model.weights.h5", b"")
        archive.writestr("config.json", text)


def keras_h5_gzip(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        more = {"chunks": (1_000, 6_000), "compression": "gzip", "compression_opts": 9}
        file.create_dataset(
            "layers/cfc/cell/vars/0", data=np.zeros((8_000, 6_000), np.float32), **more
        )


def safetensors_half(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"rnn_cell.ff1.weight": torch.zeros(2_300, 2_200, dtype=torch.float16)}, path)


def safetensors_many(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({f"layer{i}.weight": torch.zeros(1, 1) for i in range(20_000)}, path)


def torch_half(path: Path) -> None:
    import torch

    torch.save({"rnn_cell.ff1.weight": torch.zeros(2_300, 2_200, dtype=torch.float16)}, path)


def torch_bomb(path: Path) -> None:
    """The archive packed: a quarter of a MB that unpacks to 256 MB."""
    import torch

    plain = io.BytesIO()
    torch.save({"rnn_cell.ff1.weight": torch.zeros(1 << 13, 1 << 13)}, plain)
    with (
        zipfile.ZipFile(plain) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))


def torch_views(path: Path) -> None:
    """Many views of one storage."""
    import torch

    whole = torch.zeros(1_000_000)
    views = {f"layer{i}.weight": whole.reshape(1_000, 1_000) for i in range(200)}
    torch.save(views, path)


def torch_spread(path: Path) -> None:
    """One number that stands for many: strides of 0."""
    import torch

    torch.save({"rnn_cell.ff1.weight": torch.zeros(1).expand(1 << 14, 1 << 14)}, path)


def toml_tables(path: Path) -> None:
    path.write_text("".join(f"[a{i}]\n" for i in range(400_000)))


def toml_dots(path: Path) -> None:
    path.write_text("a" + ".a" * 400 + " = 1\n" + "".join(f"b{i} = 1\n" for i in range(350_000)))


def toml_numbers(path: Path) -> None:
    path.write_text("a = [" + "1," * 2_000_000 + "]\n")


Make = Callable[[Path], None]
WORST: dict[str, tuple[str, str, Make]] = {  # reader's kind, file, maker
    f"{kind}-{make.__name__}": (kind, file, make)
    for kind, file, makes in (
        ("records", "r.npy", (npy_int8, npy_float32)),
        ("frames", "r.npy", (npy_int8, npy_float32)),
        ("records", "r.npz", (npz_zeros, npz_int8, npz_labels)),
        ("records", "r.csv", (csv_numbers, csv_wide, csv_texts, csv_clock, csv_dates, csv_holes,
                              csv_subjects)),
        ("records", "r.csv.gz", (csv_gz,)),
        ("records", "r.parquet", (parquet_constant, parquet_texts)),
        ("records", "r.edf", (edf,)),
        ("records", "r.h5", (hdf5_zeros, hdf5_many)),
        ("records", "r.mat", (mat_zeros, mat_cells)),
        ("records", "r.hea", (wfdb_12, wfdb_8, wfdb_marks, wfdb_segments)),
        ("graph", "r.qgraph", (graph_zeros, graph_json, graph_nested)),
        ("import", "r.keras", (keras_zeros, keras_config)),
        ("import", "r.weights.h5", (keras_h5_gzip,)),
        ("import", "r.safetensors", (safetensors_half, safetensors_many)),
        ("import", "r.pt", (torch_half, torch_bomb, torch_views, torch_spread)),
        ("toml", "r.toml", (toml_tables, toml_dots, toml_numbers)),
    )
    for make in makes
}  # fmt: skip

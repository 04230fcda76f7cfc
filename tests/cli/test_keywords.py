"""Sounds in the folder of Speech Commands become a proven model; two tones stand for words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import wavfile

import lnn_edge as le
from lnn_edge.files.read import read_toml
from tests.cli.command import call
from tests.cli.test_own_data import prove, small


def test_words_become_a_proven_model(tmp_path: Path) -> None:
    words, time = tmp_path / "words", np.arange(16_000) / 16_000
    for word, pitch in (("yes", 300), ("no", 900)):
        (words / word).mkdir(parents=True)
        for speaker in range(4):
            tone = np.sin(2 * np.pi * (pitch + 20 * speaker) * time)
            sound = (9000 * tone).astype(np.int16)
            wavfile.write(words / word / f"{speaker:08x}_nohash_0.wav", 16_000, sound)
    (words / "validation_list.txt").write_text("yes/00000002_nohash_0.wav\n")
    (words / "testing_list.txt").write_text("no/00000003_nohash_0.wav\n"
                                            "yes/00000003_nohash_0.wav\n")  # fmt: skip
    (words / "no" / "00000002_nohash_0.wav").unlink()  # its speaker is held out
    sizes = [word for word in small() if word != "--set"]
    model = le.train("keywords-cfc", to=tmp_path / "m", data=words, split="folder", epochs=1,
                     settings=["batch_size=2", *sizes])  # fmt: skip
    card = read_toml(model / "model.toml")
    assert len(card["training_records"]) == 4
    assert card["validation_records"] == ["yes/00000002_nohash_0"]
    result = prove(model, tmp_path, words)
    assert sum(f["n"] for f in result["classes"].values()) == 7  # a word is judged once
    said = call("predict", model, words, "--mean")
    assert (said.code, len(said.out.splitlines())) == (0, 1 + 7)

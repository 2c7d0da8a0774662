import json

import numpy as np
from PIL import Image


def _search(folder, agent, seed, rewards):
    folder.mkdir()
    settings = {"options": {"agent": agent, "seed": seed}, "environment": {"id": "NASES-Digits-v0", "keywords": {}}}
    (folder / "settings.json").write_text(json.dumps(settings))
    lines = ["step,reward", *(f"{step},{reward}" for step, reward in enumerate(rewards))]
    (folder / "children.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_it_draws_every_agent_and_prints_a_line_per_search(run, tmp_path):
    runs = [
        _search(tmp_path / "a", "random", 0, [0.1, 0.5, 0.3]),
        _search(tmp_path / "b", "random", 1, [0.2, 0.1]),
        _search(tmp_path / "c", "reinforce", 0, [0.4, 0.9, 0.7]),
    ]
    done = run("plot_curves.py", "--runs", *runs, "--out", tmp_path / "curves.png")
    assert done.returncode == 0, done.stderr
    assert "reinforce seed 0: 3 children, best 0.900 at 1, median 0.700" in done.stdout
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3)}
    assert (31, 119, 180) in colours and (255, 127, 14) in colours  # matplotlib's first two


def test_the_picture_goes_into_the_first_searchs_folder_unless_told_otherwise(run, tmp_path):
    runs = [_search(tmp_path / name, "random", 0, [0.1, 0.5]) for name in "ab"]
    done = run("plot_curves.py", "--runs", *runs)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "curves.png").is_file() and f"picture: {tmp_path / 'a' / 'curves.png'}" in done.stdout


def test_a_folder_without_a_search_says_so(run, tmp_path):
    done = run("plot_curves.py", "--runs", tmp_path)
    assert done.returncode == 2 and "holds no search" in done.stderr

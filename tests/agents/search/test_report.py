"""The page of a search has everything in it."""

import base64
import html
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from agents.commands import report as command
from agents.commands import search
from agents.search import progress, report
from nases_env import rendering
from tests.agents.search.test_progress import OPTIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "a & b"
    assert search.main(search.parse([*OPTIONS, "--children", "15", "--run-dir", str(path)])) == 0
    return path


@pytest.fixture(scope="module")
def page(folder):
    return report.page(progress.read(folder))


def test_nothing_of_it_lies_elsewhere(page):
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")


def test_it_shows_curves_and_the_best_network(page, folder):
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        for data in re.findall(r"data:image/png;base64,([^\"]+)", page)
    ]
    found = progress.read(folder)
    best = found.best.architecture(found.run.make_environment().unwrapped.space)
    assert len(pictures) == 3
    assert np.array_equal(pictures[2], rendering.picture(best))
    assert all(len(np.unique(picture.reshape(-1, 3), axis=0)) > 10 for picture in pictures)
    assert html.escape(rendering.table(best)) in page and html.escape(best.to_json()) in page


def test_it_shows_another_network_that_the_search_believes_in(page, folder):
    found = progress.read(folder)
    assert "believes in" not in page  # random search believes what it measured
    other = next(child for child in found.run.children() if child.number != found.best.number)
    shown = report.page(progress.Progress(**vars(found) | {"believed": other}))
    assert f"The network that the search believes in: child {other.number}" in shown
    assert f"Child {found.best.number} had the highest reward" in shown and shown.count("data:image/png") == 4


def test_the_children_with_the_highest_rewards_come_first(page, folder):
    first, every = re.findall(r"<table>.*?</table>", page, re.DOTALL)[:2]
    best = progress.read(folder).best
    assert first.count("<tr>") == 11 and every.count("<tr>") == 16
    assert re.findall(r"<tr><td>(\d+)</td>", first)[0] == str(best.number)
    assert re.findall(r"<tr><td>(\d+)</td>", every) == [str(step) for step in range(15)]


def test_it_tells_settings_and_commands_that_work_with_any_folder(page, folder):
    assert "<td>reinforce.epsilon</td>" in page and "<td>&quot;random&quot;</td>" in page
    assert html.escape(f"nases train-final --run '{folder}'") in page


def test_it_tells_data_and_protocol(page):
    assert "Data: digits; protocol: digits" in page and "<td>batch_size</td>" in page


def test_another_folder_takes_it_too(folder, page, tmp_path):
    assert command.main(command.Options(folder, tmp_path)) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_it_is_written_into_the_folder(folder, page, capsys):
    assert command.main(command.Options(folder)) == 0
    assert (folder / "report.html").read_text(encoding="utf-8") == page
    assert f"page: {folder / 'report.html'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has recorded no child yet"),
        ("", "holds no child yet"),
        ("step,reward\n0,0.5\n", "is damaged"),
        ("step,reward\n0,much\n", "is damaged"),
    ],
)
def test_what_cannot_be_shown_is_said(folder, tmp_path, capsys, content, words):
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink(missing_ok=True)
    table = tmp_path / "run" / "children.csv"
    table.unlink() if content is None else table.write_text(content)
    assert command.main(command.Options(tmp_path / "run")) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_search_in_which_every_child_failed_has_a_page(folder):
    found = progress.read(folder)
    assert "No child has succeeded" in report.page(progress.Progress(**vars(found) | {"best": None}))


def test_a_collection_has_no_page(folder):
    found = progress.read(folder)
    options = {name: value for name, value in found.options.items() if name != "agent"}
    with pytest.raises(ValueError, match="is a collection"):
        report.page(progress.Progress(**vars(found) | {"options": options}))

"""Names of data sets: which there are, and image folders by their absolute paths."""

import subprocess
import sys

import pytest

from nases_env.children.dataset_names import absolute, check_dataset


def test_folders_are_named_absolutely_with_the_home_folder_expanded(tmp_path, monkeypatch):
    home = tmp_path.resolve()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    (home / "loop").symlink_to(home / "loop")
    assert absolute("imagefolder:~/x") == absolute("imagefolder:x") == f"imagefolder:{home}/x"
    assert absolute("imagefolder:loop").endswith("/loop")
    assert absolute("digits") == "digits"


@pytest.mark.parametrize("name", ["cifar10", "digits", "imagefolder:x"])
def test_a_name_of_a_data_set_is_taken(name):
    assert check_dataset(name) == name


@pytest.mark.parametrize("name", ["mnist", "", "imagefolder:", "digits ", None, 3])
def test_another_name_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match="there is no dataset .*; choose cifar10, digits or imagefolder:PATH"):
        check_dataset(name)


def test_names_and_protocols_are_known_without_torch():
    modules = "nases_env.children.dataset_names, nases_env.children.presets"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

import json

from nases_env import embeddings, search_spaces

QUICK = ["--steps", 40, "--cycles", 1, "--finetune-steps", 10]


def test_it_writes_weights_that_the_environment_can_use(run, tmp_path):
    out = tmp_path / "autoencoder.safetensors"
    done = run("pretrain.py", "--out", out, *QUICK)
    assert done.returncode == 0, done.stderr
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["test_loss"] < 75 and card["recipe"]["steps"] == 40
    space = search_spaces.make()
    decoder = embeddings.make(str(out), space)
    assert decoder.decode(decoder.encode(space.origin([[0] * 60]))).shape == (1, 60)


def test_it_overwrites_nothing_unasked(run, tmp_path):
    out = tmp_path / "autoencoder.safetensors"
    out.write_text("mine")
    done = run("pretrain.py", "--out", out, *QUICK)
    assert done.returncode != 0 and "--overwrite" in done.stderr
    assert out.read_text() == "mine"

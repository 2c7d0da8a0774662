import numpy as np

from agents.arena import page

NAMES = ("random", r"random:decoder=$\frac{$.safetensors", "random:decoder=a_b^{c", "<b>&")


def test_whatever_an_agent_is_called_its_pictures_and_page_are_drawn(tmp_path):
    rows = [
        {"agent": name, "probability_over_random": 0.5, "probability_low": 0.4, "probability_high": 0.6}
        for name in NAMES
    ]
    page.draw_curves(tmp_path / "curves.png", {name: np.arange(6.0).reshape(2, 3) for name in NAMES})
    page.draw_probabilities(tmp_path / "probabilities.png", rows)
    pictures = [tmp_path / "curves.png", tmp_path / "probabilities.png"]
    page.write(tmp_path / "index.html", NAMES[1], [NAMES[2]], rows, pictures)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert text.count("data:image/png") == 2 and r"$\frac{$" in text and "&lt;b&gt;&amp;" in text

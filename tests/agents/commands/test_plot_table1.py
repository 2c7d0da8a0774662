from PIL import Image

from tests.agents.commands.conftest import pixels_of

HEADER = """embedding_size,seed,compression_ratio,train_loss,test_loss,paper_train_loss,paper_test_loss,pca_loss,\
steps,minutes
"""
ROWS = """1,0,0.02,72.0,72.1,71.78,72.58,73.75,100,8.0
20,0,0.33,24.0,24.5,40.79,46.15,50.0,100,8.0
20,1,0.33,25.0,25.5,40.79,46.15,50.0,100,10.0
60,0,1.0,0.04,0.04,1.74,2.23,0.0,100,9.0
"""


def test_it_prints_the_table_and_draws_the_figure(run, tmp_path):
    table = tmp_path / "table1.csv"
    table.write_text(HEADER + ROWS)
    done = run("plot_table1.py", "--table", table, "--out", tmp_path / "figures" / "table1.png")
    assert done.returncode == 0, done.stderr
    line = (
        "| 20 | 0.33 | 24.50 (24.00 to 25.00, 2 seeds) | 25.00 (24.50 to 25.50, 2 seeds) | 40.79 | 46.15 | 50.00 | 9 |"
    )
    assert line in done.stdout
    # Gaps of 1/3 − 1/3 = 0 at k = 20.
    assert "cross at k = 20.0" in done.stdout
    picture = tmp_path / "figures" / "table1.png"
    assert Image.open(picture).size == (1080, 720)
    assert min(pixels_of(picture, colour) for colour in ("C0", "C1", "C7")) > 200  # ours, the paper's, PCA


def test_a_table_without_a_crossing_says_so(run, tmp_path):
    table = tmp_path / "table1.csv"
    table.write_text(HEADER + ROWS.splitlines()[0])
    done = run("plot_table1.py", "--table", table, "--out", tmp_path / "table1.png")
    assert done.returncode == 2 and "do not cross" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_table_says_so(run, tmp_path):
    done = run("plot_table1.py", "--table", tmp_path / "none.csv")
    assert done.returncode == 2 and "none.csv" in done.stderr and "Traceback" not in done.stderr

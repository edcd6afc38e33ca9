"""A short study's page, opened in a browser."""
import os
import shutil
import subprocess

import pytest

from conftest import ROOT


def test_report_in_browser(pare, small_model, tmp_path):
    script = ROOT / "tests/report_in_browser.sh"
    if not script.exists():
        pytest.skip("tests/report_in_browser.sh is absent")
    if not os.environ.get("CHROMIUM") and not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no Chromium here")
    (tmp_path / "recipes.txt").write_text("fold-batchnorm\nquantize-static\n")
    done = pare("study", small_model.path, "--data", small_model.data, "--recipes", tmp_path / "recipes.txt",
                "--out", tmp_path / "study", "--seconds", "0.5", "--quiet")
    assert done.code == 0, done.err
    shown = subprocess.run(["bash", str(script), str(tmp_path / "study/report.html")], capture_output=True, text=True, timeout=400)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "skipped" not in shown.stdout

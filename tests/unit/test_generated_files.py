"""What is generated and committed is what the generators make."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from goldseam.api.kinds import KINDS
from goldseam.api.write_crds import HEADER, files, main
from goldseam.engine.reasons import write_reference
from tests.stolen import table

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
MADE = dict(files())


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_committed_crd_is_what_the_models_say(name: str) -> None:
    path = CRDS / name
    assert path.exists(), f"crds/{name} is missing: run make crds"
    assert path.read_bytes() == MADE[name].encode(), f"crds/{name} is not what the models say: run make crds"


def test_there_is_no_crd_of_a_kind_that_is_gone() -> None:
    assert {path.name for path in CRDS.glob("*")} - {"kustomization.yaml"} == set(MADE), "run make crds"


def test_every_kind_has_one_file() -> None:
    assert sorted(MADE) == sorted(f"{kind.plural}.yaml" for kind in KINDS)


@pytest.mark.parametrize("name", sorted(MADE))
def test_a_generated_file_says_so_and_is_the_same_each_time(name: str) -> None:
    assert MADE[name].startswith(HEADER)
    assert dict(files())[name] == MADE[name]
    assert yaml.safe_load(MADE[name])["kind"] == "CustomResourceDefinition"


def test_writing_removes_old_files_of_ours_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text(HEADER + "kind: CustomResourceDefinition\n")
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    main([str(tmp_path)])
    assert {path.name for path in tmp_path.iterdir()} == {*MADE, "kustomization.yaml"}


def test_writing_needs_one_directory() -> None:
    with pytest.raises(SystemExit, match=r"python -m goldseam\.api\.write_crds DIRECTORY"):
        main([])


@pytest.mark.parametrize("name", sorted(write_reference.files()))
def test_the_committed_reference_is_what_the_code_says(name: str) -> None:
    path = ROOT / "docs" / "reference" / name
    written = path.read_text() if path.exists() else ""
    assert written == write_reference.files()[name], f"docs/reference/{name} is out of date: run make reference"


def test_the_committed_table_of_rights_is_what_the_pieces_and_the_attempts_say() -> None:
    path = ROOT / "docs" / "reference" / "rights.md"
    assert path.read_text() == table.page(), "docs/reference/rights.md is out of date: run make reference"


def test_the_reference_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    write_reference.main([str(tmp_path)])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == write_reference.files()
    with pytest.raises(SystemExit, match="DIRECTORY"):
        write_reference.main([])

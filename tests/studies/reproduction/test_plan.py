"""What is asked for, and which studies it needs."""

import pytest
from tiny_studies import write_catalog

from glacier_ml.errors import GlacierError
from glacier_ml.evaluation.reproduction.reported import FIGURES, STUDIES
from glacier_ml.studies.reproduction.plan import (
    ORDER,
    PICTURES,
    TUNING,
    check_budget,
    chosen_pictures,
    chosen_protocols,
    plan,
)


def test_every_figure_and_wish_is_planned_and_the_per_pixel_network_comes_first():
    assert set(ORDER) == set(STUDIES) and len(ORDER) == len(STUDIES)
    assert set(PICTURES) == {*FIGURES, "table_1", *(one for one in STUDIES if one.startswith("wished_"))}
    assert {study for studies in PICTURES.values() for study in studies} == set(ORDER)
    ffnn = {"figure_08", "figure_07_learning_rate", "figure_07_penalty", "figure_09", "figure_13"}
    assert set(ORDER[:5]) == ffnn
    assert set(TUNING) == {"figure_05", "figure_06", *ffnn} - {"figure_13"}


@pytest.mark.parametrize(
    ("figure", "chosen"),
    [
        ("all", tuple(PICTURES)),
        ("8", ("figure_08",)),
        ("figure_12,3", ("figure_12", "figure_03")),
        ("table_1, 8,8", ("table_1", "figure_08")),
        ("wished", tuple(one for one in PICTURES if one.startswith("wished_"))),
        ("wished_head", ("wished_head",)),
    ],
)
def test_figures_are_named_by_number_or_name(figure, chosen):
    assert chosen_pictures(figure) == chosen


@pytest.mark.parametrize("figure", ["2", "15", "figure", "", "wished_luck", "8,fig9", "-3"])
def test_what_the_report_does_not_have_is_told(figure):
    with pytest.raises(GlacierError, match=r"^figure: '.*' is not one of the report's; choose all, numbers"):
        chosen_pictures(figure)


def test_protocols_and_budgets_are_checked():
    assert chosen_protocols("both") == ("sound", "report") and chosen_protocols("report") == ("report",)
    assert check_budget("tiny") == "tiny"
    with pytest.raises(GlacierError, match="^protocol: 'loud' is not known; choose both, sound or report"):
        chosen_protocols("loud")
    with pytest.raises(GlacierError, match="^budget: 'huge' is not known; choose full, small, tiny"):
        check_budget("huge")


def test_a_study_is_planned_once_and_shares_its_data(tmp_path, request):
    catalog, folder = write_catalog(tmp_path), str(request.config.rootpath / "experiments/report")
    pictures = ("figure_13", "figure_14", "wished_noise")
    works = plan(pictures, ("sound", "report"), "tiny", str(catalog), folder)
    assert [(work.study, work.protocol) for work in works] == [
        ("figure_13", "sound"),
        ("figure_13", "report"),
        ("wished_noise", "sound"),
    ]
    assert works[0].data is works[2].data and works[0].data is not works[1].data
    assert works[1].experiment.baseline.recipe == "report"


def test_a_folder_without_the_files_is_told(tmp_path):
    with pytest.raises(GlacierError, match=r"figure_08.yaml: no such experiment file"):
        plan(("figure_08",), ("sound",), "tiny", None, str(tmp_path))

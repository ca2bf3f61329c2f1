"""The model zoo: metafiles, their numbers and configs, and models by name."""

from pathlib import Path

import pytest
import torch
import yaml

from hrtk.apis import list_models, load_config, load_model
from hrtk.apis.zoo import metafiles as model_zoo
from hrtk.apis.zoo.metafiles import read_zoo
from hrtk.errors import InputError
from hrtk.models.checkpoints import bundled, find_weights, read_checkpoint
from hrtk.models.estimators import Estimator

ROOT = Path(__file__).parents[2]
ZOO = {model.name: model for model in read_zoo()}


@pytest.mark.parametrize('name', ZOO)
def test_config_and_pages_exist(name):
    model = ZOO[name]
    assert load_config(ROOT / model.config)
    assert find_weights(model.weights).is_file()
    for page in (model.page, *(result['Source'] for result in model.results)):
        assert (ROOT / page).is_file()
    for result in model.results:
        if 'Command' in result:
            assert (ROOT / result['Command'].split()[-1]).is_file()


@pytest.mark.parametrize('name', [name for name in ZOO if ZOO[name].results])
def test_numbers_stand_in_one_row_of_the_page_they_come_from(name):
    for result in ZOO[name].results:
        rows = (ROOT / result['Source']).read_text(encoding='utf-8').splitlines()
        cells = [{cell.strip() for cell in row.split('|')} for row in rows if row.startswith('|')]
        assert any({str(value) for value in result['Metrics'].values()} <= row for row in cells), (
            result
        )


def test_index_names_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(index) == sorted(
        path.relative_to(ROOT).as_posix() for path in ROOT.glob('configs/*/metafile.yml')
    )


def test_every_bundled_file_has_a_name():
    # BlazePose's file holds two networks that hrtk did not train; hrtk.models.blazepose reads it.
    trained = [name for name in bundled() if name != 'blazepose']
    assert list_models(pretrained=True) == trained
    assert 'r18_studio' not in list_models() and list_models('r18*', pretrained=True) == [
        'r18_studio'
    ]


def test_start_model_is_ready():
    model = load_model('r18_studio')
    assert isinstance(model, Estimator) and not model.training and model.body is not None
    stored = read_checkpoint(find_weights('open:r18_studio'))['state_dict']
    assert torch.equal(model.head.deccam.bias, stored['head.deccam.bias'].float())
    prediction = model(torch.zeros(1, 3, model.resolution, model.resolution))
    assert prediction.rotmat.shape == (1, 24, 3, 3)


@pytest.mark.parametrize('name', ['tcmr_open', 'mpsnet_open'])
def test_teachers_read_features_of_the_start_model(name):
    prediction = load_model(name)(torch.zeros(1, 16, 256))
    assert prediction.rotmat.shape == (1, 24, 3, 3)


@pytest.mark.parametrize('name', list_models(pretrained=True))
def test_everything_loads(name):
    model = load_model(name)
    assert not model.training and sum(value.numel() for value in model.parameters()) > 1e5


def test_options_and_unknown_names():
    assert load_model('r18_studio', body=None).body is None
    with pytest.raises(
        InputError, match="model 'r18_studo' are bundled. Did you mean 'r18_studio'"
    ):
        load_model('r18_studo')
    with pytest.raises(InputError, match='no argument presision'):
        load_model('r18_studio', presision='bfloat16')


@pytest.mark.parametrize(
    'text, message',
    [
        ('Collections: []\nModels: [{Name: x, In Collection: y}]', 'not a metafile'),
        ('Models: 3', 'not a metafile'),
        (
            'Collections: [{Name: y, README: z}]\nModels: [{Name: x, In Collection: y, Colour: red}]',
            "key 'Colour'",
        ),
    ],
)
def test_bad_metafile(tmp_path, monkeypatch, text, message):
    (tmp_path / 'method').mkdir()
    (tmp_path / 'method/metafile.yml').write_text(text)
    monkeypatch.setattr(model_zoo, 'bundled_configs', lambda: tmp_path)
    with pytest.raises(InputError, match=message):
        read_zoo()

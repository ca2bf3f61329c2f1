"""Writes docs/en/model_zoo.md from the metafiles of the configs: ``python docs/build_model_zoo.py``."""

from __future__ import annotations

from pathlib import Path

from hrtk.apis.zoo.metafiles import ZooModel, read_zoo

PAGE = Path(__file__).parent / 'en/model_zoo.md'
HEAD = """<!-- Written by docs/build_model_zoo.py from configs/*/metafile.yml; change these and run it. -->

# Model zoo

What hrtk brings and what was measured of it. Every number stands, with what it takes to read it, on the page that is
named beside it. No published network's weights are in hrtk, see {doc}`estimators`.

## Models that come with weights

```python
from hrtk.apis import list_models, load_model

print(list_models(pretrained=True))
model = load_model('r18_studio')  # an Estimator in evaluation mode, with its body
```"""
ADAPTED = """
## Runs that start from them

`hrtk adapt CONFIG` makes the run of one seed; the command on the page its numbers come from makes
the whole table."""


def page() -> str:
    """The page's text."""
    zoo = read_zoo()
    lines = [
        HEAD,
        *_table(
            ['name', 'what', 'made by', 'page'],
            [
                [
                    f'`{model.name}`',
                    '; '.join(map(str, model.metadata.values())),
                    f'`{model.config}`',
                    _link(model.page),
                ]
                for model in zoo
                if model.trained
            ],
        ),
    ]
    for model in zoo:
        lines += _results(model) if model.trained else []
    lines += [
        ADAPTED,
        *_table(
            ['method', 'config', 'start', 'learns from', *NUMBERS, 'measured on'],
            [row for model in zoo if not model.trained for row in _rows(model)],
        ),
    ]
    papers = {model.collection: model for model in zoo if model.paper}
    lines += [
        '',
        '## Papers',
        '',
        *(
            f'* {name}: {model.paper["Title"]}, {model.paper["Year"]}; {_link(model.page)}'
            for name, model in papers.items()
        ),
    ]
    return '\n'.join(lines) + '\n'


NUMBERS = ('MPJPE (mm)', 'PA-MPJPE (mm)', 'Frames made worse')


def _rows(model: ZooModel) -> list[list[str]]:
    return [
        [
            _link(model.page, model.collection),
            f'`{model.config}`',
            f'`{model.weights}`',
            model.metadata['Learns from'],
            *(str(result['Metrics'].get(name, '')) for name in NUMBERS),
            f'{result["Dataset"]}; {_link(result["Source"])}',
        ]
        for result in model.results
    ]


def _results(model: ZooModel) -> list[str]:
    if not model.results:
        return []
    return [
        '',
        f'`{model.name}`, measured:',
        '',
        *(
            f'* {result["Dataset"]}: '
            + ', '.join(f'{name} {value}' for name, value in result['Metrics'].items())
            + f'; {_link(result["Source"])}'
            for result in model.results
        ),
    ]


def _link(path: str, text: str = '') -> str:
    target = path.removeprefix('docs/en/').removesuffix('.md')
    return f'{{doc}}`{text} <{target}>`' if text else f'{{doc}}`{target}`'


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    return ['', *(f'| {" | ".join(cells)} |' for cells in (columns, ['---'] * len(columns), *rows))]


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')

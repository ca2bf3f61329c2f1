# BOA with its own network, rates and files on your own footage. It has no source term until adapter.source names
# labelled data.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/photos.py',
    '../_base_/adapters/bilevel_paper.py']

adapter = _base_.pop('bilevel')

# BOA with its own network, rates and files on your own footage. It has no source term until adapter.source names
# labelled data.
_base_ = ['../_base_/default_runtime.py', '../_base_/boa_paper.py', '../_base_/datasets/photos.py']

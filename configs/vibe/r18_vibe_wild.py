# The open VIBE behind the free start model on the free wild stream, without adaptation.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/vibe_open.py', '../_base_/datasets/open_wild.py']

estimator = dict(network=dict(weights='open:vibe_open'))
adapter = dict(type='Source')

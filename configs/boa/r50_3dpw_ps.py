# BOA on 3DPW with its own annotations (#PS; 77.2 MPJPE / 49.5 PA-MPJPE in the paper).
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/threedpw.py',
    '../_base_/adapters/bilevel_paper.py']

adapter = _base_.pop('bilevel')

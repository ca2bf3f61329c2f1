# DynaBOA on 3DPW with its own annotations (#PS; 65.5 MPJPE / 40.4 PA-MPJPE / 82.0 PVE published), in the crops and the
# order of its script.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/threedpw_dynaboa.py',
    '../_base_/adapters/dynamic_bilevel_paper.py']

adapter = _base_.pop('dynamic_bilevel')

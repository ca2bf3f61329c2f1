# BOA on 3DPW with HMMR's annotations (#PH; 92.1 MPJPE / 58.8 PA-MPJPE in the paper).
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/threedpw_ph.py',
    '../_base_/adapters/bilevel_paper.py']

adapter = _base_.pop('bilevel')

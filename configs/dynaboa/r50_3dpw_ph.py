# DynaBOA on 3DPW with HMMR's annotations (#PH), at the rates for #PS.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/threedpw_ph.py',
    '../_base_/adapters/dynamic_bilevel_paper.py']

adapter = _base_.pop('dynamic_bilevel')

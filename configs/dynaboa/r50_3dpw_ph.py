# DynaBOA on 3DPW with HMMR's annotations (#PH), at the rates for #PS.
_base_ = ['../_base_/default_runtime.py', '../_base_/dynaboa_paper.py', '../_base_/datasets/threedpw_ph.py']

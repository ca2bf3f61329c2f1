# DynaBOA on 3DPW with its own annotations (#PS; 65.5 MPJPE / 40.4 PA-MPJPE / 82.0 PVE published).
_base_ = ['../_base_/default_runtime.py', '../_base_/dynaboa_paper.py', '../_base_/datasets/threedpw.py']

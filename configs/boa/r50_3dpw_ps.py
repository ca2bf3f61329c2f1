# BOA on 3DPW with its own annotations (#PS; 77.2 MPJPE / 49.5 PA-MPJPE in the paper).
_base_ = ['../_base_/default_runtime.py', '../_base_/boa_paper.py', '../_base_/datasets/threedpw.py']

# BOA on 3DPW with HMMR's annotations (#PH; 92.1 MPJPE / 58.8 PA-MPJPE in the paper).
_base_ = ['../_base_/default_runtime.py', '../_base_/boa_paper.py', '../_base_/datasets/threedpw_ph.py']

# RSC-Net ("RSN") without adaptation on 3DPW.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/rsc_net.py', '../_base_/datasets/threedpw.py']

adapter = dict(type='Source')

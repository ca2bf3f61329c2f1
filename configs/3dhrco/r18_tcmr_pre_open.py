# Pre-adaptation of the free start model by the free TCMR on the free wild stream.
_base_ = ['../_base_/3dhrco_open.py', '../_base_/teachers/tcmr_open.py']
adapter = dict(teacher={{_base_._teacher}})

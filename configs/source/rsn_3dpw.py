# RSC-Net without adaptation on 3DPW.
_base_ = '../_base_/3dhrco_paper_rsn.py'
adapter = dict(_delete_=True, type='Source')

# Pre-adaptation of RSC-Net by TCMR on 3DPW (Table 2, sigma 35, epoch 601).
_base_ = '../_base_/3dhrco_paper_rsn.py'
adapter = dict(teacher={{_base_._tcmr}})

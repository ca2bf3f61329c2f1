# 3DHR-Co on 3DPW, SPIN taught by TCMR (Table 4, sigma 35).
_base_ = './spin_mpn_3dpw.py'

adapter = dict(pre=dict(teacher=dict(
    network=dict(type='TCMR', weights='data/tcmr/tcmr_table6_3dpw_test.pth.tar'))))

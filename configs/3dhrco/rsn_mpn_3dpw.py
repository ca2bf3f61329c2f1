# The whole of 3DHR-Co, RSC-Net taught by MPS-Net, on 3DPW (Table 3, sigma 35).
_base_ = './rsn_mpn_pre_3dpw.py'
adapter = dict(_delete_=True, type='Regeneration', pre={{_base_.adapter}}, online={{_base_._dynamic}})

# The whole of 3DHR-Co, SPIN taught by TCMR, on 3DPW (Table 4, sigma 35).
_base_ = './spin_tcmr_pre_3dpw.py'
adapter = dict(_delete_=True, type='Regeneration', pre={{_base_.adapter}}, online={{_base_._dynamic}})

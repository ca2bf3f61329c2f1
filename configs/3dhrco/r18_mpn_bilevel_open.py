# 3DHR-Co with BOA's bilevel steps on the free wild stream, taught by the free MPS-Net.
_base_ = './r18_mpn_pre_open.py'
adapter = dict(_delete_=True, type='Regeneration', pre={{_base_.adapter}}, online={{_base_._bilevel}})
